package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

// Spikes are the latency monitor: what held the server up for longer than latency-monitor-threshold, by event. Anybody may
// add to it; it has a lock of its own, which is taken only when something was slow.
type Spikes struct {
	threshold atomic.Int64 // nanoseconds; 0: nothing is noted

	mu     sync.Mutex
	events map[string]*spikeEvent
}

type spikeEvent struct {
	samples []Spike // oldest first
	max     int64   // since the last reset
}

// Spike is the longest delay of one second.
type Spike struct{ Unix, Millis int64 }

// spikesKept is how many samples there are of one event, as in Redis.
const spikesKept = 160

// Events of the monitor. The names are Redis's.
const (
	SpikeCommand     = "command"
	SpikeFast        = "fast-command"
	SpikeExpireCycle = "expire-cycle"
	SpikeEvictCycle  = "eviction-cycle"
	SpikeFileSync    = "aof-fsync-always"
	SpikeFileWrite   = "aof-write-alone"
)

// SetSpikeThreshold is latency-monitor-threshold; 0 switches the monitor off.
func (e *Engine) SetSpikeThreshold(d time.Duration) {
	e.spikes.threshold.Store(int64(d))
	e.stats.settleSlow(&e.spikes)
}

// Spikes is the latency monitor.
func (e *Engine) Spikes() *Spikes { return &e.spikes }

// Threshold is from where on a delay is noted; 0 means never.
func (s *Spikes) Threshold() time.Duration { return time.Duration(s.threshold.Load()) }

// Note adds a delay when it is long enough.
func (s *Spikes) Note(event string, d time.Duration) {
	if t := s.threshold.Load(); t == 0 || int64(d) < t {
		return
	}
	now, ms := time.Now().Unix(), d.Milliseconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = map[string]*spikeEvent{}
	}
	e := s.events[event]
	if e == nil {
		e = &spikeEvent{}
		s.events[event] = e
	}
	e.max = max(e.max, ms)
	if n := len(e.samples); n > 0 && e.samples[n-1].Unix == now {
		e.samples[n-1].Millis = max(e.samples[n-1].Millis, ms)
		return
	}
	if len(e.samples) == spikesKept {
		e.samples = append(e.samples[:0:0], e.samples[1:]...)
	}
	e.samples = append(e.samples, Spike{now, ms})
}

// noteCommand is Note for a command.
func (s *Spikes) noteCommand(cmd *command.Cmd, took time.Duration) {
	event := SpikeCommand
	if cmd.Flags&command.Fast != 0 {
		event = SpikeFast
	}
	s.Note(event, took)
}

// Names lists the events that were noted, in order.
func (s *Spikes) Names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.events {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Of gives the samples of an event, oldest first, and its longest delay.
func (s *Spikes) Of(event string) (samples []Spike, longest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.events[event]; e != nil {
		return slices.Clone(e.samples), e.max
	}
	return nil, 0
}

// Reset forgets the named events, all when none is named, and returns how many there were.
func (s *Spikes) Reset(names ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) == 0 {
		n = len(s.events)
		s.events = nil
	}
	for _, name := range names {
		if s.events[name] != nil {
			delete(s.events, name)
			n++
		}
	}
	return n
}

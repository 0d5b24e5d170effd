package engine

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// CommandStats counts one command's calls.
type CommandStats struct {
	Calls, Nanos, Rejected, Failed int64
}

// laneStats are a lane's own counters: written with the lock held in either mode, read by others under the exclusive
// lock, so they need no atomics.
type laneStats struct {
	commands []CommandStats // by command.Cmd.Index
	latency  []*Histogram   // likewise; nil until the first call
	errors   map[string]int64
	refused  int64
	failures int64
	hits     int64
	misses   int64
	expired  int64
	changes  int64
}

// countError notes the error that was just written under its code, for INFO errorstats.
func (l *Lane) countError() { l.countErrorOf(l.Out) }

// countErrorOf notes the error written to out last.
func (l *Lane) countErrorOf(out *resp.Writer) {
	l.stats.failures++
	text := out.LastError()
	n := 0
	for n < len(text) && n < 64 && text[n] != ' ' {
		n++
	}
	if l.stats.errors == nil {
		l.stats.errors = map[string]int64{}
	}
	l.stats.errors[string(text[:n])]++
}

// drain takes over what handlers counted in the context.
func (l *Lane) drain() {
	s, c := &l.stats, &l.ctx
	s.hits += c.Hits
	s.misses += c.Misses
	s.expired += c.Expired
	s.changes += c.Changes
	c.Hits, c.Misses, c.Expired, c.Changes = 0, 0, 0, 0
}

// statistics are the server-wide counters.
type statistics struct {
	blocked    atomic.Int64
	untracked  atomic.Bool // latency-tracking no
	replyLimit atomic.Int64
	slowNS     atomic.Int64 // from where on a command is noted, in the slow log or by the monitor
	slowLogNS  atomic.Int64 // in the slow log; 0: never
	slowLog    func(c *Client, cmd *command.Cmd, args [][]byte, took time.Duration)
	zero       Totals // what RESETSTAT took off
	onReset    []func()
	dirty      int64 // changes at the last successful save
}

// OnSlow calls fn, with the lock held, for each command that took at least d; d below zero turns it off.
func (e *Engine) OnSlow(d time.Duration, fn func(c *Client, cmd *command.Cmd, args [][]byte, took time.Duration)) {
	e.Exclusive(func() {
		e.stats.slowLog = fn
		e.SetSlow(d)
	})
}

// SetReplyLimit is the hard limit of client-output-buffer-limit for normal clients, 0 for none.
func (e *Engine) SetReplyLimit(n int64) { e.stats.replyLimit.Store(n) }

// SetSlow moves the threshold of OnSlow.
func (e *Engine) SetSlow(d time.Duration) {
	if d < 0 {
		d = 0
	} else {
		d = max(d, 1)
	}
	e.stats.slowLogNS.Store(int64(d))
	e.stats.settleSlow(&e.spikes)
}

// settleSlow finds the one threshold that commands are compared with.
func (s *statistics) settleSlow(m *Spikes) {
	d := s.slowLogNS.Load()
	if t := m.threshold.Load(); t > 0 && (d == 0 || t < d) {
		d = t
	}
	s.slowNS.Store(d)
}

func (s *statistics) slow() time.Duration {
	if n := s.slowNS.Load(); n > 0 {
		return time.Duration(n)
	}
	return time.Duration(1<<63 - 1)
}

func (s *statistics) noteSlow(l *Lane, c *Client, cmd *command.Cmd, args [][]byte, took time.Duration) {
	l.e.spikes.noteCommand(cmd, took)
	if d := s.slowLogNS.Load(); s.slowLog != nil && d > 0 && int64(took) >= d {
		s.slowLog(c, cmd, args, took)
	}
}

// Totals are the counters of all lanes.
type Totals struct {
	Commands, Hits, Misses, Expired, Evicted, Changes, Errors, Blocked int64
}

// Totals sums up the counters since the start or the last ResetStats. The lock must be held exclusively.
func (e *Engine) Totals() Totals {
	t := e.rawTotals()
	z := e.stats.zero
	return Totals{
		Commands: t.Commands - z.Commands, Hits: t.Hits - z.Hits, Misses: t.Misses - z.Misses, Expired: t.Expired - z.Expired,
		Evicted: t.Evicted - z.Evicted, Errors: t.Errors - z.Errors, Changes: t.Changes, Blocked: t.Blocked,
	}
}

func (e *Engine) rawTotals() Totals {
	t := Totals{Blocked: e.stats.blocked.Load(), Evicted: e.memory.evicted}
	e.eachLane(func(l *Lane) {
		l.drain()
		for i := range l.stats.commands {
			t.Commands += l.stats.commands[i].Calls
		}
		t.Hits += l.stats.hits
		t.Misses += l.stats.misses
		t.Expired += l.stats.expired
		t.Changes += l.stats.changes
		t.Errors += l.stats.failures
	})
	return t
}

func (e *Engine) eachLane(fn func(l *Lane)) {
	e.lanes.mu.Lock()
	defer e.lanes.mu.Unlock()
	for _, l := range e.lanes.all {
		fn(l)
	}
}

// Close gives the lane's counters to the engine's own and forgets the lane. Its goroutine calls it when it ends.
func (l *Lane) Close() { l.e.Exclusive(l.closeHeld) }

// closeHeld is Close with the lock held exclusively.
func (l *Lane) closeHeld() {
	l.drain()
	b := &l.e.bg.stats
	for i := range l.stats.commands {
		b.commands[i].add(l.stats.commands[i])
	}
	for i, h := range l.stats.latency {
		switch {
		case h == nil:
		case b.latency[i] == nil:
			b.latency[i] = h
		default:
			b.latency[i].merge(h)
		}
	}
	for code, n := range l.stats.errors {
		if b.errors == nil {
			b.errors = map[string]int64{}
		}
		b.errors[code] += n
	}
	b.refused += l.stats.refused
	b.failures += l.stats.failures
	b.hits += l.stats.hits
	b.misses += l.stats.misses
	b.expired += l.stats.expired
	b.changes += l.stats.changes
	l.e.lanes.mu.Lock()
	defer l.e.lanes.mu.Unlock()
	for i, other := range l.e.lanes.all {
		if other == l {
			l.e.lanes.all = append(l.e.lanes.all[:i], l.e.lanes.all[i+1:]...)
			break
		}
	}
}

func (s *CommandStats) add(o CommandStats) {
	s.Calls += o.Calls
	s.Nanos += o.Nanos
	s.Rejected += o.Rejected
	s.Failed += o.Failed
}

// Commands sums up the counters by command, those never called left out. The lock must be held exclusively.
func (e *Engine) Commands(fn func(cmd *command.Cmd, s CommandStats)) {
	for i, cmd := range e.Table.All() {
		var sum CommandStats
		e.eachLane(func(l *Lane) { sum.add(l.stats.commands[i]) })
		if sum != (CommandStats{}) {
			fn(cmd, sum)
		}
	}
}

// Errors lists the error codes that were sent, with their counts. The lock must be held exclusively.
func (e *Engine) Errors(fn func(code string, n int64)) {
	sum := map[string]int64{}
	e.eachLane(func(l *Lane) {
		for code, n := range l.stats.errors {
			sum[code] += n
		}
	})
	codes := make([]string, 0, len(sum))
	for code := range sum {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	for _, code := range codes {
		fn(code, sum[code])
	}
}

// OnResetStats registers what else CONFIG RESETSTAT resets; it is called with the lock held exclusively. Call it before Start.
func (e *Engine) OnResetStats(fn func()) { e.stats.onReset = append(e.stats.onReset, fn) }

// ResetStats is CONFIG RESETSTAT. The lock must be held exclusively.
func (e *Engine) ResetStats() {
	e.stats.zero = e.rawTotals()
	e.stats.zero.Commands = 0
	e.eachLane(func(l *Lane) {
		clear(l.stats.commands)
		clear(l.stats.latency)
		clear(l.stats.errors)
	})
	for _, fn := range e.stats.onReset {
		fn()
	}
}

// Dirty is the number of changes since the last successful save began. The lock must be held exclusively.
func (e *Engine) Dirty() int64 { return e.rawTotals().Changes - e.stats.dirty }

// Changes is the number of changes since the start: note it at a cut, give it to Saved when the save is durable. The
// lock must be held exclusively.
func (e *Engine) Changes() int64 { return e.rawTotals().Changes }

// Saved tells that everything up to the given number of changes is on disk. The lock must be held exclusively.
func (e *Engine) Saved(changes int64) { e.stats.dirty = changes }

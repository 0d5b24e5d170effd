package fakemember

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// World moves members. All state of all members is guarded by its lock.
type World struct {
	clock func() time.Duration
	stop  chan struct{}
	done  sync.WaitGroup

	mu      sync.Mutex
	members map[member.Voter]*Member
	acked   []interval
}

// interval is a time in which one incarnation acknowledged writes, for S1.
type interval struct {
	set      string
	who      member.Incarnation
	from, to time.Duration
}

// tick is how often links move.
const tick = 5 * time.Millisecond

// NewWorld starts a world; Close ends it.
func NewWorld(clock func() time.Duration) *World {
	w := &World{clock: clock, stop: make(chan struct{}), members: map[member.Voter]*Member{}}
	w.done.Go(func() {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-t.C:
				w.step()
			}
		}
	})
	return w
}

// Close ends every member.
func (w *World) Close() {
	close(w.stop)
	w.mu.Lock()
	var all []*Member
	for _, m := range w.members {
		all = append(all, m)
	}
	w.mu.Unlock()
	for _, m := range all {
		m.Remove()
	}
	w.done.Wait()
}

func (w *World) step() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock()
	for _, v := range w.order() {
		m := w.members[v]
		if m.proc == nil || m.stopped {
			continue
		}
		m.do(nil, 0, m.proc.machine.Tick(now))
		m.follow(now)
		m.report(now)
	}
}

func (w *World) order() []member.Voter {
	var out []member.Voter
	for v := range w.members {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// Write writes to the member if it is a master that may, as a client behind the Service would.
func (w *World) Write(v member.Voter, value string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.members[v]
	if m == nil || m.proc == nil || m.stopped {
		return fmt.Errorf("connection refused by %s", v)
	}
	now := w.clock()
	term, until := m.proc.machine.Gate()
	switch {
	case term == 0:
		return fmt.Errorf("READONLY %s is %s", m.id.Name, m.proc.machine.Role())
	case m.proc.machine.Report(now).Paused:
		return fmt.Errorf("%s holds its clients", m.id.Name)
	case now >= until:
		return fmt.Errorf("NOREPLICAS %s may not write now", m.id.Name)
	}
	m.append(value, now)
	w.note(m, now)
	return nil
}

// note extends the interval of the incarnation that acknowledged, or begins one.
func (w *World) note(m *Member, now time.Duration) {
	for i := len(w.acked) - 1; i >= 0; i-- {
		if w.acked[i].set == m.id.SetUID {
			if w.acked[i].who == m.proc.id.Incarnation {
				w.acked[i].to = now
				return
			}
			break
		}
	}
	w.acked = append(w.acked, interval{m.id.SetUID, m.proc.id.Incarnation, now, now})
}

// CheckOneWriter is S1: an incarnation that stopped acknowledging never does again after another began.
func (w *World) CheckOneWriter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[member.Incarnation]bool{}
	for _, i := range w.acked {
		if seen[i.who] {
			return fmt.Errorf("S1: %s of set %s acknowledged writes again after another master had", i.who, i.set)
		}
		seen[i.who] = true
	}
	return nil
}

// Values are the client's values that a member holds.
func (w *World) Values(v member.Voter) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.members[v]
	if m == nil || m.proc == nil {
		return nil
	}
	var out []string
	for _, x := range m.proc.log {
		if x != heartbeat {
			out = append(out, x)
		}
	}
	return out
}

// FullSyncs is how many full syncs the present process of a member has loaded.
func (w *World) FullSyncs(v member.Voter) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.members[v]; m != nil && m.proc != nil {
		return m.proc.fullSyncs
	}
	return -1
}

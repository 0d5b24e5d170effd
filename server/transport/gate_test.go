package transport

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
)

// The write check (S1): a reply to a write leaves only while the right to acknowledge it lasts.

func TestGateClosedRefusesWritesAndServesReads(t *testing.T) {
	var now atomic.Int64
	now.Store(1000)
	r := newRig(t, rigOptions{bootTime: now.Load})
	c := dial(t, r.addr)
	r.e.Gate().Grant(2000)
	want(t, c.do("SET", "k", "1"), "OK")
	now.Store(2000)
	wantPrefix(t, c.do("SET", "k", "2"), "(error) READONLY ")
	wantPrefix(t, c.do("MULTI"), "OK")
	wantPrefix(t, c.do("SET", "k", "3"), "(error) READONLY ")
	want(t, c.do("EXEC"), "(error) EXECABORT Transaction discarded because of previous errors.")
	want(t, c.do("GET", "k"), `"1"`)
	r.e.Gate().SetDeadline(3000)
	want(t, c.do("SET", "k", "4"), "OK")
}

// sleeper is a boot clock that jumps, once armed, after it was read for the given number of times: the process slept.
type sleeper struct {
	now   atomic.Int64
	reads atomic.Int64 // until the jump; negative: not armed
}

func (s *sleeper) read() int64 {
	if s.reads.Add(-1) == 0 {
		s.now.Add(1000)
	}
	return s.now.Load()
}

func TestSleepBetweenExecuteAndReplyClosesTheConnection(t *testing.T) {
	s := &sleeper{}
	s.now.Store(1)
	r := newRig(t, rigOptions{bootTime: s.read})
	r.e.Gate().Grant(500)
	c, reader := dial(t, r.addr), dial(t, r.addr)
	want(t, c.do("SET", "k", "old"), "OK")
	want(t, c.do("DEBUG", "SET-ACTIVE-EXPIRE", "0"), "OK") // its cycle reads the clock, too
	s.reads.Store(2)                                       // the first reading is the one before the batch, the second the one before the reply
	c.send("SET", "k", "new")
	if got := c.ends(); got != "" {
		t.Fatalf("a reply left after the deadline: %q", got)
	}
	if !r.logged("the right to acknowledge writes ended") {
		t.Error("the reason is not in the log")
	}
	want(t, reader.do("GET", "k"), `"new"`) // executed, never acknowledged
}

func TestNewTermDoesNotAcknowledgeTheOldTermsWrites(t *testing.T) {
	written, goOn := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{attach: func(_ *rig, table *command.Table) {
		table.Attach("EVAL", func(ctx *command.Ctx) { // it holds the loop between the write's execution and its reply
			close(written)
			<-goOn
			ctx.Out.OK()
		})
	}})
	gate := r.e.Gate()
	gate.Grant(engine.Forever)
	c := dial(t, r.addr)
	w := dial(t, r.addr)
	c.raw("SET k v\r\nEVAL x 0\r\n")
	<-written
	gate.Close()
	gate.Grant(engine.Forever)
	close(goOn)
	if got := c.ends(); got != "" {
		t.Fatalf("the reply of a write of an older term left: %q", got)
	}
	want(t, w.do("SET", "k", "w"), "OK")
}

// What could not be sent at once is subject to the gate as well.
func TestUnsentReplyDoesNotLeaveAfterTheDeadline(t *testing.T) {
	var now atomic.Int64
	now.Store(1)
	r := newRig(t, rigOptions{bootTime: now.Load})
	r.e.Gate().Grant(100)
	c := dial(t, r.addr)
	big := strings.Repeat("x", 48<<20) // more than the sockets of both sides hold
	c.send("SET", "big", big)
	want(t, c.reply(), "OK")
	c.send("GETSET", "big", "")
	other := dial(t, r.addr)
	await(t, "the reply to be sent as far as the sockets take it", func() bool {
		return strings.Contains(other.do("INFO", "commandstats"), "cmdstat_getset:calls=1,")
	})
	now.Store(200)
	got := c.ends()
	if len(got) >= len(big) {
		t.Fatalf("the whole reply of %d bytes left after the deadline", len(got))
	}
}

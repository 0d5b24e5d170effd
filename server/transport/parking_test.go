package transport

import (
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/engine"
)

// A loop that has had nothing to do waits as a goroutine does, and is woken by requests, by mail and by its cron.
func TestIdleLoopWakesUp(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, l := range r.server.loops {
		if l.poll.gate == nil {
			t.Fatal("the runtime cannot wait for the epoll instance: the loop falls back to a system call")
		}
	}
	a, b := dial(t, r.addr), dial(t, r.addr)
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		want(t, a.do("PING"), "PONG")
	}
	want(t, b.do("BLPOP", "list", "0.05"), "(nil)") // its end is mail
	want(t, a.do("CONFIG", "SET", "timeout", "1"), "OK")
	a.ends() // the cron closes what is idle
}

// The same while the server has work of its own.
func TestIdleLoopWakesUpBesideOtherWork(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.e.PutState(engine.AsyncLoading, true)
	defer r.e.PutState(engine.AsyncLoading, false)
	c := dial(t, r.addr)
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		want(t, c.do("PING"), "PONG")
	}
}

// Loops that were parked before the server's own work begins do not wait for the runtime's poller while it goes on: with all
// processors taken nobody might ask that for 10 ms.
func TestParkedLoopsLeaveWhenOtherWorkBegins(t *testing.T) {
	r := newRig(t, rigOptions{})
	idle, err := New(Options{Engine: r.e, Sessions: r.s, Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	parked, awake := idle.loops[0], idle.loops[1] // nobody runs them
	defer parked.closeFDs()
	defer awake.closeFDs()
	for name, begin := range map[string]func() (end func()){
		"a snapshot": r.e.Beside,
		"a load": func() func() {
			r.e.PutState(engine.Loading, true)
			return func() { r.e.PutState(engine.Loading, false) }
		},
		"a load beside": func() func() {
			r.e.PutState(engine.AsyncLoading, true)
			return func() { r.e.PutState(engine.AsyncLoading, false) }
		},
	} {
		parked.parked.Store(true)
		if !parked.parks() {
			t.Errorf("before %s: does not park", name)
		}
		end := begin()
		if parked.parks() {
			t.Errorf("beside %s: parks", name)
		}
		if n := rawEpollWait(parked.epfd, parked.events[:], 0); n != 1 {
			t.Errorf("%s: the parked loop has %d events", name, n)
		}
		if n := rawEpollWait(awake.epfd, awake.events[:], 0); n != 0 {
			t.Errorf("%s: the other loop has %d events", name, n)
		}
		parked.readMail()
		end()
	}
}

// A loop with a crowd of connections does not park: to go by the gate costs as much as it has connections.
func TestLoopWithACrowdDoesNotPark(t *testing.T) {
	r := newRig(t, rigOptions{})
	l, err := newLoop(r.server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeFDs()
	for live, want := range map[int]bool{0: true, parkMost: true, parkMost + 1: false} {
		if l.live = live; l.parks() != want {
			t.Errorf("with %d connections: parks %v", live, !want)
		}
	}
}

package transport

import (
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/engine"
)

// A loop that has had nothing to do waits as a goroutine does, and is woken by requests, by mail and by its cron.
func TestIdleLoopWakesUp(t *testing.T) {
	r := newRig(t, rigOptions{config: "timeout 1"})
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
	b.send("BLPOP", "list", "0.05") // its end is mail
	b.silent(20 * time.Millisecond)
	want(t, b.reply(), "(nil)")
	time.Sleep(20 * time.Millisecond)
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

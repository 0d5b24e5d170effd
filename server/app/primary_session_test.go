package app

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/relay"
	"github.com/understudy-db/understudy/server/resp"
)

// TestSessionsAreCarried: what a client has reached on the old master holds on the new one, and nothing more than that.
func TestSessionsAreCarried(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	login := func(p *pod) *client {
		c := p.wants()
		c.must("OK", "AUTH", "pw")
		return c
	}
	plain := login(a.p)
	plain.must("OK", "SELECT", "3")
	plain.must("OK", "CLIENT", "SETNAME", "worker")
	plain.must("OK", "SET", "k", "v")
	three := a.p.wants()
	if got := three.do("HELLO", "3", "AUTH", "default", "pw", "SETNAME", "three"); !strings.Contains(got, "proto") {
		t.Fatalf("HELLO: %s", got)
	}
	stranger := a.p.wants()
	if got := stranger.do("AUTH", "wrong"); !strings.Contains(got, "WRONGPASS") {
		t.Fatalf("AUTH: %s", got)
	}
	silent := a.p.wants() // says nothing before the switchover
	multi := login(a.p)
	multi.must("OK", "MULTI")
	multi.must("QUEUED", "SET", "multi", "1")
	multi.must("QUEUED", "INCR", "multi")
	aborted := login(a.p)
	aborted.must("OK", "MULTI")
	if got := aborted.do("NOSUCH"); !strings.Contains(got, "unknown command") {
		t.Fatal(got)
	}
	watcher := login(a.p)
	watcher.must("OK", "WATCH", "k")
	mute := login(a.p)
	mute.send("CLIENT", "REPLY", "OFF")
	big := login(a.p)
	big.must("OK", "MULTI")
	big.must("QUEUED", "SET", "big", strings.Repeat("x", 2*relay.MaxRequest))
	ordinary := a.p.client() // on the ordinary port
	reset := login(a.p)
	reset.must("RESET", "RESET")

	s.switchOver(b)

	plain.must(`"v"`, "GET", "k")
	plain.must(`"worker"`, "CLIENT", "GETNAME")
	plain.must("(integer) 1", "WAIT", "1", "5000") // its write, too, is acknowledged
	plain.must("OK", "SET", "k", "w")
	three.must(`"three"`, "CLIENT", "GETNAME")
	if got := three.do("HGETALL", "none"); got != `%{}` && got != `%[]` {
		t.Errorf("an empty map in RESP3: %s", got)
	}
	for _, c := range []*client{stranger, silent, reset} {
		if got := c.do("GET", "k"); !strings.Contains(got, "NOAUTH") {
			t.Errorf("a client that never authenticated itself reads %s", got)
		}
	}
	if got := stranger.do("AUTH", "wrong"); !strings.Contains(got, "WRONGPASS") {
		t.Errorf("AUTH over the relay: %s", got)
	}
	stranger.must("OK", "AUTH", "pw")
	silent.must("OK", "AUTH", "pw")
	silent.must("OK", "SELECT", "3")
	silent.must(`"w"`, "GET", "k")
	multi.must(`*[OK (integer) 2]`, "EXEC")
	if got := aborted.do("EXEC"); !strings.Contains(got, "EXECABORT") {
		t.Errorf("a transaction that had failed: %s", got)
	}
	watcher.must("OK", "MULTI")
	watcher.must("QUEUED", "SET", "watched", "1")
	watcher.must("(nil)", "EXEC")
	watcher.must("OK", "SET", "watched", "2") // once only
	mute.send("SET", "mute", "1")
	mute.must("OK", "CLIENT", "REPLY", "ON")
	mute.must(`"1"`, "GET", "mute")
	if got := big.do("EXEC"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Errorf("a transaction too big to be carried: %s", got)
	}
	if got := ordinary.do("GET", "k"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") && !strings.Contains(got, "broken pipe") {
		t.Errorf("a client of the ordinary port was not closed: %s", got)
	}
	if n := a.p.told("primary_sessions_dropped"); n != 1 {
		t.Errorf("%d sessions dropped, want the big one", n)
	}

	s.switchOver(a) // and back: they come home
	plain.must(`"w"`, "GET", "k")
	plain.must(`"worker"`, "CLIENT", "GETNAME")
	three.must(`"three"`, "CLIENT", "GETNAME")
	if n, home := a.p.told("primary_relays"), a.p.told("primary_relays_home"); home != 2 {
		t.Errorf("%d connections came home, want 2; %d are relayed", home, n)
	}
}

// blocks waits until so many clients are blocked.
func (p *pod) blocks(n int) {
	p.t.Helper()
	c, info := p.client(), ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if info = c.do("INFO", "clients"); strings.Contains(info, fmt.Sprintf(`blocked_clients:%d\r`, n)) {
			return
		}
	}
	p.t.Fatalf("%d clients never block: %s", n, info)
}

// TestBlockedClientsLearnOfTheSwitchover: nothing that they wait for comes any more.
func TestBlockedClientsLearnOfTheSwitchover(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	c := a.p.wants()
	c.must("OK", "AUTH", "pw")
	c.must("OK", "SET", "k", "v")
	c.send("WAIT", "5", "0")
	c.send("GET", "k") // behind it
	a.p.blocks(1)
	s.switchOver(b)
	if got := c.reply(); !strings.Contains(got, "UNBLOCKED") {
		t.Errorf("a client in WAIT: %s", got)
	}
	if got := c.reply(); got != `"v"` {
		t.Errorf("the command behind it: %s", got)
	}
}

// TestTakersWaitOnWithTheNewMaster: who waits in BLPOP has taken nothing yet, and learns nothing of the switchover.
func TestTakersWaitOnWithTheNewMaster(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	worker, boss, reader := a.p.wants(), a.p.wants(), a.p.wants()
	for _, c := range []*client{worker, boss, reader} {
		c.must("OK", "AUTH", "pw")
		c.must("OK", "SELECT", "2")
	}
	worker.send("BLPOP", "jobs", "0")
	worker.send("PING") // behind it
	boss.must(`"1-1"`, "XADD", "log", "1-1", "f", "v")
	reader.send("XREAD", "BLOCK", "0", "STREAMS", "log", "$")
	a.p.blocks(2)
	s.switchOver(b)
	boss.must("(integer) 1", "RPUSH", "jobs", "job")
	if got := worker.reply(); got != `*["jobs" "job"]` {
		t.Errorf("the worker got %s", got)
	}
	if got := worker.reply(); got != "PONG" {
		t.Errorf("and then %s", got)
	}
	if got := reader.reply(); !strings.Contains(got, "UNBLOCKED") {
		t.Errorf("a reader of what comes from now on, which it might miss: %s", got)
	}
	reader.must("(integer) 1", "XLEN", "log") // it goes on
}

// TestSwitchoverThatFails: the master gets its role back; its clients have only waited.
func TestSwitchoverThatFails(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	c, r := a.p.wants(), b.p.wants()
	c.must("OK", "AUTH", "pw")
	r.must("OK", "AUTH", "pw") // relayed from b
	s.pause(b)
	c.send("INCR", "n")
	c.send("INCR", "n")
	r.send("INCR", "m")
	time.Sleep(20 * time.Millisecond)
	s.adopt(b)
	time.Sleep(50 * time.Millisecond) // b is asked in advance
	s.reign(a)
	for _, want := range []string{"(integer) 1", "(integer) 2"} {
		if got := c.reply(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := r.reply(); got != "(integer) 1" {
		t.Errorf("relayed: %s", got)
	}
	for end := time.Now().Add(patience); a.p.told("primary_relays") != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the master goes on relaying")
		}
	}
}

// TestNewConnectionsFindTheMaster: wherever they come in, once there is one; nobody waits for ever.
func TestNewConnectionsFindTheMaster(t *testing.T) {
	s := startSet(t, "a", "b", "c")
	a, b, c := s.members[0], s.members[1], s.members[2]
	for _, m := range s.members {
		w := m.p.wants()
		w.must("OK", "AUTH", "pw")
		w.must("OK", "SET", "by", m.p.name)
		w.must(fmt.Sprintf("%q", m.p.name), "GET", "by")
		if got := m.p.client().do("SET", "by", "x"); m != a && !strings.Contains(got, "READONLY") {
			t.Errorf("the ordinary port of %s, a replica, takes a write: %s", m.p.name, got)
		}
	}
	// The master dies. Who comes to the others meanwhile waits for the next one.
	early := c.p.wants()
	early.send("AUTH", "pw")
	if got := early.reply(); got != "OK" {
		t.Fatal(got)
	}
	if err := syscall.Kill(a.p.child(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := early.reply(); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Errorf("a relay outlives its master: %s", got)
	}
	s.members = []*leader{a.p.meet(a.inc()), b, c}
	late := c.p.wants() // it is told after a while that there is no master, so one comes soon
	late.send("AUTH", "pw")
	late.send("SET", "by", "late")
	s.lead(b)
	for range 2 {
		if got := late.reply(); got != "OK" {
			t.Errorf("a client that came before the new master: %s", got)
		}
	}
	old := s.members[0].p.wants() // stale rules of a node lead to the member that came back
	old.must("OK", "AUTH", "pw")
	old.must(`"late"`, "GET", "by")

	// No master at all: an answer, after a while.
	s.term++
	for _, m := range s.members {
		mustBe[member.Adopted](t, m.ask(member.Adopt{Order: m.order(s.term)}))
	}
	began := time.Now()
	lost := b.p.wants()
	if got := lost.do("AUTH", "pw"); !strings.Contains(got, "MASTERDOWN") {
		t.Errorf("without a master: %s", got)
	}
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("answered after %v", took)
	}
	if got := lost.reply(); !strings.Contains(got, "EOF") {
		t.Errorf("and then: %s", got)
	}
	if n := b.p.told("primary_without_master"); n != 1 {
		t.Errorf("%d connections found no master, want 1", n)
	}
}

// TestMembersThatPointAtEachOther relay nothing.
func TestMembersThatPointAtEachOther(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	s.term++
	for _, x := range [][2]*leader{{a, b}, {b, a}} {
		m, to := x[0], x[1]
		mustBe[member.Adopted](t, m.ask(member.Adopt{Order: m.order(s.term)}))
		mustBe[member.Done](t, m.ask(member.Follow{Order: m.order(s.term), Upstream: to.upstream(), Master: to.inc(), MasterPod: to.hello.Member.Voter, Primary: to.p.primary()}))
	}
	var all []*client
	for range 20 {
		c := a.p.wants()
		c.send("AUTH", "pw")
		all = append(all, c)
	}
	time.Sleep(500 * time.Millisecond)
	if n := b.p.told("primary_relays") + b.p.told("primary_relays_total"); n != 0 {
		t.Errorf("b relays %d of the connections that a brought it", n)
	}
	for _, c := range all {
		if got := c.reply(); !strings.Contains(got, "MASTERDOWN") {
			t.Errorf("answered %s", got)
		}
	}
}

// TestAbuseOfThePrimaryPort: silent connections cost a replica no relay, garbage and false requests end alone.
func TestAbuseOfThePrimaryPort(t *testing.T) {
	s := startSet(t, "a", "b")
	b := s.members[1]
	var idle []net.Conn
	for range 2000 {
		nc, err := net.Dial("tcp", b.p.primary())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		idle = append(idle, nc)
	}
	if n := b.p.told("primary_relays_total"); n != 0 {
		t.Errorf("%d relays for connections that say nothing", n)
	}
	foreign, err := relay.Request{Set: "another", Mark: strings.Repeat("0", 32)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"garbage":     "\x00\x00\x00\x00\x00",
		"no request":  "\x00UNDERSTUDY-RELAY-1 12\n{\"set\":12345}",
		"foreign set": string(foreign),
		"half":        string(foreign[:30]),
		"long":        "\x00UNDERSTUDY-RELAY-1 1000000\n",
	} {
		for _, m := range s.members {
			nc, err := net.Dial("tcp", m.p.primary())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if what == "half" {
				continue
			}
			_ = nc.SetReadDeadline(time.Now().Add(patience))
			buf := make([]byte, 100)
			for got := ""; ; {
				n, err := nc.Read(buf)
				got += string(buf[:n])
				if err == nil {
					continue
				}
				if strings.Contains(err.Error(), "timeout") || (what == "foreign set" && got != string(relay.No(relay.WhyForeign))) {
					t.Errorf("%s, %s: answered %q, %v", m.p.name, what, got, err)
				}
				break
			}
		}
	}
	for what, q := range map[string]relay.Request{
		"guessed password":       {Set: setUID, Mark: strings.Repeat("0", 32), Auth: true, Password: "guess"},
		"state without password": {Set: setUID, Mark: strings.Repeat("0", 32), State: []byte(`{"proto":2,"flags":2,"queue":[["RkxVU0hBTEw="]]}`)},
	} {
		text, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		c := s.members[0].p.wants()
		if _, err := c.nc.Write(text); err != nil {
			t.Fatal(err)
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 100)
		n, _ := c.nc.Read(buf)
		if !strings.HasPrefix(string(buf[:n]), "\x00NO ") {
			t.Errorf("%s: answered %q", what, buf[:n])
		}
	}
	c := b.p.wants()
	c.must("OK", "AUTH", "pw")
	c.must("OK", "SET", "k", "v")
	for _, nc := range idle[:100] { // those that were silent are served when they speak
		k := &client{t, nc, resp.NewReader(nc)}
		k.must("OK", "AUTH", "pw")
		k.must(`"v"`, "GET", "k")
	}
	if n := b.p.told("primary_relays"); n != 101 {
		t.Errorf("%d relays, want 101", n)
	}
}

// TestSubscribersMissNothing: they stay where they are, and hear what is published at the new master.
func TestSubscribersMissNothing(t *testing.T) {
	s := startSet(t, "a", "b")
	a, b := s.members[0], s.members[1]
	ear, voice := a.p.wants(), a.p.wants()
	ear.must("OK", "AUTH", "pw")
	voice.must("OK", "AUTH", "pw")
	if got := ear.do("SUBSCRIBE", "news"); !strings.Contains(got, "subscribe") {
		t.Fatal(got)
	}
	stop, last := make(chan struct{}), make(chan int, 1)
	go func() {
		for n := 1; ; n++ {
			if got := voice.do("PUBLISH", "news", fmt.Sprint(n)); strings.Contains(got, "error") {
				t.Errorf("PUBLISH: %s", got)
			}
			select {
			case <-stop:
				last <- n
				return
			default:
			}
		}
	}()
	for _, to := range []*leader{b, a} {
		time.Sleep(50 * time.Millisecond)
		s.switchOver(to)
	}
	time.Sleep(50 * time.Millisecond)
	close(stop)
	for n, end := 1, <-last; n <= end; n++ {
		if got, want := ear.reply(), fmt.Sprintf(`*["message" "news" "%d"]`, n); got != want {
			t.Fatalf("heard %s, want %s", got, want)
		}
	}
	s.switchOver(b)
	if got := ear.do("SUBSCRIBE", "more"); !strings.Contains(got, "more") {
		t.Errorf("a further channel: %s", got)
	}
	for _, ch := range []string{"news", "more"} {
		if got := ear.do("UNSUBSCRIBE", ch); !strings.Contains(got, ch) {
			t.Errorf("the end of %s: %s", ch, got)
		}
	}
	ear.must("OK", "SET", "k", "v") // like any other client again
}

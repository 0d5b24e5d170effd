package repl

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"
)

var (
	idA = strings.Repeat("a", 40)
	idB = strings.Repeat("b", 40)
)

// TestRefuseFeed: S2 on a master that nobody manages. Every row but the first takes one reason of the refusal away.
func TestRefuseFeed(t *testing.T) {
	accident := FeedRequest{Guard: true, BornEmpty: true, ID: idA, Next: 900, Own: []string{idB}}
	rows := []struct {
		name   string
		change func(*FeedRequest)
		refuse bool
	}{
		{"the accident", func(*FeedRequest) {}, true},
		{"guard off", func(r *FeedRequest) { r.Guard = false }, false},
		{"data was loaded", func(r *FeedRequest) { r.BornEmpty = false }, false},
		{"persistence", func(r *FeedRequest) { r.Persistence = true }, false},
		{"by command", func(r *FeedRequest) { r.Explicit = true }, false},
		{"new replica", func(r *FeedRequest) { r.ID, r.Next = "?", -1 }, false},
		{"replica without writes", func(r *FeedRequest) { r.Next = 1 }, false},
		{"history of this process", func(r *FeedRequest) { r.Own = append(r.Own, strings.ToUpper(idA)) }, false},
	}
	for _, row := range rows {
		r := accident
		row.change(&r)
		if why := RefuseFeed(r); (why != "") != row.refuse {
			t.Errorf("%s: %q", row.name, why)
		}
	}
}

func TestParseIdentity(t *testing.T) {
	rows := []struct {
		info string
		want Identity
	}{
		{"# Server\r\nrun_id:x\r\naof_enabled:0\r\nrdb_last_load_keys_loaded:0\r\n", Identity{"x", true, true, Line{}}},
		{"run_id:x\r\naof_enabled:1\r\nrdb_last_load_keys_loaded:0\r\n", Identity{"x", true, false, Line{}}},
		{"run_id:x\r\naof_enabled:0\r\nrdb_last_load_keys_loaded:7\r\n", Identity{"x", true, false, Line{}}},
		{"run_id:x\r\naof_enabled:0\r\n", Identity{"x", false, false, Line{}}},
		{"master_replid:a\r\nmaster_replid2:b\r\nmaster_repl_offset:70\r\nsecond_repl_offset:51\r\n", Identity{IDs: Line{ID: "a", ID2: "b", Offset: 70, Second: 51}}},
		{"", Identity{}},
	}
	for _, row := range rows {
		if got := ParseIdentity(row.info); got != row.want {
			t.Errorf("%q: %+v, want %+v", row.info, got, row.want)
		}
	}
}

// session feeds wire bytes to a new machine in pieces of random size and returns what came out, pieces joined.
func session(wire []byte, rnd *rand.Rand) string {
	r := NewReplica(ReplicaSettings{Master: "m:1", Timeout: 1000, Guard: true}, true, "")
	var out strings.Builder
	var payload, stream []byte
	take := func(es []Effect) (loading bool) {
		for _, e := range es {
			switch e := e.(type) {
			case Payload:
				payload = append(payload, e.Data...)
			case Apply:
				stream = append(stream, e.Data...)
			case EndPayload:
				loading = true
			default:
				out.WriteString(e.String() + "\n")
			}
		}
		return loading
	}
	take(r.Start(0))
	take(r.Connected(0, Place{}))
	for len(wire) > 0 {
		n := len(wire)
		if rnd != nil {
			n = 1 + rnd.Intn(min(n, 60))
		}
		if take(r.Received(0, wire[:n])) {
			take(r.Loaded(0, nil))
		}
		wire = wire[n:]
	}
	return out.String() + "payload " + string(payload) + "\nstream " + string(stream) + "\n" + r.State().String()
}

// TestPiecesDoNotMatter: however TCP cuts what the master sends, the machine does the same.
func TestPiecesDoNotMatter(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	hello := expand("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n<info1>\n+FULLRESYNC <a> 10\r\n\n")
	body := strings.Repeat("0123456789", 30)
	mark := strings.Repeat("m", 40)
	for _, wire := range []string{
		hello + "$300\r\n" + body + "*1\r\n$4\r\nPING\r\n",
		hello + "$EOF:" + mark + "\r\n" + body + mark,
	} {
		want := session([]byte(wire), nil)
		if !strings.Contains(want, "payload "+body+"\n") || !strings.HasSuffix(want, "connected") {
			t.Fatalf("in one piece: %s", want)
		}
		for range 300 {
			if got := session([]byte(wire), rnd); got != want {
				t.Fatalf("in pieces:\n%s\nin one:\n%s", got, want)
			}
		}
	}
}

func TestGarbageNeverPanicsAndIsHungUp(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	for range 2000 {
		r := NewReplica(ReplicaSettings{Guard: true}, false, "")
		r.Start(0)
		r.Connected(0, Place{ID: idA, Offset: 5, Data: true})
		p := make([]byte, 200)
		for i := range p {
			p[i] = "+-$:*\r\n 0123456789OKPONGFULLRESYNC"[rnd.Intn(34)]
		}
		r.Received(0, append([]byte("+PONG\r\n"), p...))
		if r.State() == Connected && !bytes.Contains(p, []byte("CONTINUE")) {
			t.Fatalf("%q made a connected replica", p)
		}
	}
}

func TestIllegalTransitionsNameBothStates(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "connect (1)") || !strings.Contains(text, "sync (6)") {
			t.Fatalf("panic said %q", text)
		}
	}()
	r := NewReplica(ReplicaSettings{}, false, "")
	r.Start(0)
	r.Lost(0, nil)
	r.Loaded(0, nil)
}

func TestSnapshotPlan(t *testing.T) {
	eof := func(since Millis) *Peer {
		p := NewPeer("x")
		p.Conf([]string{"capa", "eof"})
		p.Full(since, false)
		return p
	}
	old := NewPeer("old")
	old.Full(0, true)
	plan := SnapshotPlan{Diskless: true, Delay: 5000, MaxPeers: 2}
	rows := []struct {
		plan            SnapshotPlan
		now             Millis
		peers           []*Peer
		start, diskless bool
	}{
		{plan, 0, nil, false, false},
		{plan, 4999, []*Peer{eof(0)}, false, true},
		{plan, 5000, []*Peer{eof(0)}, true, true},
		{plan, 100, []*Peer{eof(0), eof(100)}, true, true},
		{plan, 0, []*Peer{eof(0), old}, true, false},
		{SnapshotPlan{}, 0, []*Peer{eof(0)}, true, false},
	}
	for i, row := range rows {
		if start, diskless := row.plan.Decide(row.now, row.peers); start != row.start || diskless != row.diskless {
			t.Errorf("row %d: start %v diskless %v", i, start, diskless)
		}
	}
}

// TestWhoWaitsForTheSlowestIsNotLate: in a snapshot for several replicas one that takes nothing is dropped at repl-timeout,
// and not those that wait for it.
func TestWhoWaitsForTheSlowestIsNotLate(t *testing.T) {
	const timeout = 2000
	for _, stuck := range []bool{false, true} {
		p := NewPeer("r")
		p.Full(0, false)
		p.Joined(0, strings.Repeat("a", 40), 0, true, strings.Repeat("m", 40))
		p.Moving(100)
		if !stuck {
			p.Moved(200)
		}
		p.Tick(100+2*timeout, timeout)
		if got := p.State() == PeerGone; got != stuck {
			t.Errorf("a piece is on its way: %v; dropped: %v", stuck, got)
		}
	}
}

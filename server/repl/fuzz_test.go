package repl

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzMaster: whatever a master answers, the replica's machine neither panics nor hangs, does the same however the bytes
// are cut, and keeps no more than a line or a mark of it.
func FuzzMaster(f *testing.F) {
	ok := "+PONG\r\n+OK\r\n+OK\r\n"
	id := strings.Repeat("a", 40)
	for _, in := range []string{
		ok, ok + "+FULLRESYNC " + id + " 7\r\n$5\r\nhelloPING\r\n", ok + "+CONTINUE\r\n*1\r\n$4\r\nPING\r\n", ok + "+CONTINUE " + id + "\r\n",
		ok + "+FULLRESYNC " + id + " 7\r\n$EOF:" + strings.Repeat("m", 40) + "\r\npayload" + strings.Repeat("m", 40), ok + "-NOMASTERLINK\r\n", ok + "-ERR\r\n$3\r\nabc",
		ok + "+FULLRESYNC x -1\r\n", "-NOAUTH\r\n-WRONGPASS\r\n", "+PONG\r\n+OK\r\n+OK\r\n$5\r\nx:y\r\n\r\n$-1\r\n+CONTINUE\r\n", "\n\n\n", ok + "+FULLRESYNC " + id + " 1\r\n\n\n-ERR no\r\n",
	} {
		for way := range uint8(8) {
			f.Add([]byte(in), way, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, way, step uint8) {
		whole := listen(t, in, way, len(in)+1)
		parts := listen(t, in, way, int(step)+1)
		// The end of a marked payload may only be seen at the end of what has come: such texts may differ by how they are cut.
		if whole != parts && !strings.Contains(string(in), "$EOF:") {
			t.Fatalf("whole %s\nin parts %s", whole, parts)
		}
	})
}

// listen plays a connection and answers the machine's last state and all payload and stream bytes.
func listen(t *testing.T, in []byte, way uint8, step int) string {
	s := ReplicaSettings{Master: "m:1", Port: 1, Timeout: 60000, Guard: way&1 != 0}
	place := Place{}
	if way&2 != 0 {
		place = Place{ID: strings.Repeat("a", 40), ID2: strings.Repeat("0", 40), Offset: 10, Data: true, Idle: func(offset int64) bool { return offset > 4 }}
	}
	if way&4 != 0 {
		s.Hello, s.Offer = func() string { return "x" }, func(answer string) string { return strings.TrimLeft(answer, "x") }
	}
	r := NewReplica(s, false, "")
	r.Start(0)
	r.Connected(1, place)
	var payload, stream strings.Builder
	for rest := in; len(rest) > 0 && r.State() != Connect && r.State() != Connecting; {
		n := min(step, len(rest))
		es := append([]Effect(nil), r.Received(2, append([]byte(nil), rest[:n]...))...)
		rest = rest[n:]
		ended := false
		for _, e := range es {
			switch e := e.(type) {
			case Payload:
				payload.Write(e.Data)
			case Apply:
				stream.Write(e.Data)
			case EndPayload:
				ended = true
			}
		}
		if ended {
			for _, e := range r.Loaded(3, nil) {
				if a, ok := e.(Apply); ok {
					stream.Write(a.Data)
				}
			}
		}
		if len(r.buf) > 2*maxLine+step {
			t.Fatalf("%d bytes of an unfinished line are kept", len(r.buf))
		}
	}
	state := r.State()
	r.Tick(100000, 5)
	r.Lost(100001, nil)
	if state == Transfer { // how much of an unfinished payload was passed on depends on the cuts
		return state.String()
	}
	return fmt.Sprintf("%d %q %q", state, payload.String(), stream.String())
}

// FuzzConf: no option of REPLCONF panics, and none forges a line.
func FuzzConf(f *testing.F) {
	for _, in := range []string{"listening-port 1", "ip-address 1.2.3.4", "capa eof capa psync2", "listening-port -1", "ip-address a\nb", "x", "explicit-order 1", "rdb-only 1", "rdb-filter-only functions"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p := NewPeer("x")
		why := p.Conf(strings.Split(in, " "))
		if strings.ContainsAny(p.IP(), "\r\n") {
			t.Fatalf("the address is %q", p.IP())
		}
		if why != "" && !strings.HasPrefix(why, "ERR ") {
			t.Fatalf("the refusal %q has no code", why)
		}
	})
}

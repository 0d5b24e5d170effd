package repl

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the machines do into testdata")

// TestScripts plays testdata/*.txt. A script is lines "event words" (quoted words are Go strings); the effects follow,
// indented. Read the difference before you commit what -rewrite wrote.
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) < 10 {
		t.Fatalf("only %d scripts found", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("the machine did something else; with -rewrite it would be:\n%s", got)
			}
		})
	}
}

type stage struct {
	now   Millis
	s     ReplicaSettings
	place Place
	r     *Replica
	p     *Peer
	ack   int64
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	st := &stage{s: ReplicaSettings{Master: "10.0.0.1:6379", Port: 6380, Timeout: 60000}}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, e := range st.event(t, words(t, line)) {
			out.WriteString("  " + e + "\n")
		}
	}
	return out.String()
}

func words(t *testing.T, line string) []string {
	var ws []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '"' {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("bad quoting in %q", line)
			}
			w, _ := strconv.Unquote(q)
			ws, rest = append(ws, w), rest[len(q):]
			continue
		}
		w, r, _ := strings.Cut(rest, " ")
		ws, rest = append(ws, w), r
	}
	return ws
}

// id makes "a" the replication ID aaaa...; longer words stay.
func id(w string) string {
	if len(w) == 1 && w != "?" {
		return strings.Repeat(w, 40)
	}
	return w
}

// expand writes <a> as a replication ID and <mark> as the end mark in bytes of the wire.
func expand(s string) string {
	for c := 'a'; c <= 'f'; c++ {
		s = strings.ReplaceAll(s, "<"+string(c)+">", id(string(c)))
	}
	for _, run := range []string{"1", "2"} { // <info2>: the two replies of run-2, which loaded nothing
		server, persistence := "# Server\r\nrun_id:run-"+run+"\r\n", "# Persistence\r\naof_enabled:0\r\nrdb_last_load_keys_loaded:0\r\n"
		s = strings.ReplaceAll(s, "<info"+run+">", fmt.Sprintf("$%d\r\n%s\r\n$%d\r\n%s\r\n", len(server), server, len(persistence), persistence))
	}
	s = replication.ReplaceAllStringFunc(s, func(w string) string {
		p := replication.FindStringSubmatch(w)
		text := fmt.Sprintf("# Replication\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\nmaster_repl_offset:%s\r\nsecond_repl_offset:%s\r\n", id(p[1]), id(p[3]), p[2], p[4])
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	})
	return strings.ReplaceAll(s, "<mark>", strings.Repeat("m", 40))
}

// replication is <line ID OFFSET ID2 SECOND>, the reply to INFO replication.
var replication = regexp.MustCompile("<line (.) ([0-9]+) (.) ([0-9]+)>")

func num(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}

func (st *stage) event(t *testing.T, w []string) []string {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	var es []Effect
	state := ""
	switch w[0] {
	case "set":
		st.set(t, w[1:])
		return nil
	case "place": // place ID OFFSET [data]
		st.place = Place{ID: id(arg(1)), Offset: num(t, arg(2)), Data: arg(3) == "data"}
		return nil
	case "second": // second ID FIRST: the history before, and the first byte that is not of it
		st.place.ID2, st.place.Second = id(arg(1)), num(t, arg(2))
		return nil
	case "idle": // idle OFFSET: nothing but heartbeats is behind it
		from := num(t, arg(1))
		st.place.Idle = func(offset int64) bool { return offset >= from }
		return nil
	case "wait":
		st.now += num(t, arg(1))
		return nil
	case "start":
		st.r = NewReplica(st.s, arg(1) == "explicit", arg(2))
		es = st.r.Start(st.now)
	case "order":
		es = st.r.Order(st.now)
	case "connected":
		es = st.r.Connected(st.now, st.place)
	case "lost":
		var err error
		if arg(1) != "" {
			err = errors.New(arg(1))
		}
		es = st.r.Lost(st.now, err)
	case "recv":
		es = st.r.Received(st.now, []byte(expand(arg(1))))
	case "tick":
		if st.r != nil {
			es = st.r.Tick(st.now, st.ack)
		} else {
			es = st.p.Tick(st.now, st.s.Timeout)
		}
	case "applied":
		st.ack = num(t, arg(1))
		return nil
	case "getack":
		es = st.r.GetAck(st.now, st.ack)
	case "loaded":
		var err error
		if arg(1) != "" {
			err = errors.New(arg(1))
		}
		es = st.r.Loaded(st.now, err)
	case "judge": // judge KEYS: the guard's last look at a payload
		why := KeepAgainst(st.r.Meeting(), num(t, arg(1)))
		if why == "" {
			return []string{"may be swapped in"}
		}
		es = st.r.Keep(st.now, why)
	default:
		es = st.peerEvent(t, w, arg)
	}
	var out []string
	for _, e := range es {
		out = append(out, strings.ReplaceAll(e.String(), strings.Repeat("m", 40), "<mark>"))
	}
	if st.r != nil {
		state = st.r.State().String()
	} else if st.p != nil {
		state = st.p.State().String()
	}
	return append(out, "= "+state)
}

func (st *stage) peerEvent(t *testing.T, w []string, arg func(int) string) []Effect {
	switch w[0] {
	case "peer":
		st.p = NewPeer("10.0.0.2:6380")
	case "conf":
		if why := st.p.Conf(w[1:]); why != "" {
			return []Effect{Send{[]byte("-" + why)}}
		}
	case "continue":
		return st.p.Continue(st.now, id(arg(1)), num(t, arg(2)), num(t, arg(3)))
	case "full":
		return st.p.Full(st.now, arg(1) == "old")
	case "joined": // joined ID OFFSET disk|diskless
		return st.p.Joined(st.now, id(arg(1)), num(t, arg(2)), arg(3) == "diskless", expand("<mark>"))
	case "done":
		return st.p.SnapshotDone(st.now, num(t, arg(1)))
	case "failed":
		return st.p.SnapshotFailed(arg(1))
	case "sent":
		return st.p.PayloadSent(st.now)
	case "moved":
		st.p.Moved(st.now)
	case "ack":
		return st.p.Ack(st.now, num(t, arg(1)))
	case "gone":
		return st.p.Lost()
	case "good":
		return []Effect{Log{Debug, fmt.Sprint("good: ", st.p.Good(st.now, num(t, arg(1))))}}
	default:
		t.Fatalf("unknown event %q", w[0])
	}
	return nil
}

func (st *stage) set(t *testing.T, pairs []string) {
	for _, kv := range pairs {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "user":
			st.s.User = v
		case "password":
			st.s.Password = v
		case "announce":
			st.s.AnnounceIP = v
		case "guard":
			st.s.Guard = v == "yes"
		case "old":
			st.s.OldProtocol = v == "yes"
		case "parser":
			st.s.ToParser = v == "yes"
		case "member":
			st.s.Hello = func() string { return v }
			st.s.Offer = func(answer string) string {
				if answer != v {
					return "it is of set " + answer
				}
				return ""
			}
			st.s.AckWords = func(offset int64, _ Millis) []string { return []string{"VOUCH", v, strconv.FormatInt(offset, 10)} }
		default:
			t.Fatalf("unknown setting %q", k)
		}
	}
	if st.r != nil {
		st.r.Configure(st.s)
	}
}

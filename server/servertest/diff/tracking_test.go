package diff

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/session"
)

// listener is a client whose messages between the replies are of interest.
type listener struct {
	t    *testing.T
	conn net.Conn
	r    *resp.Reader
	id   string
}

// party is the clients of one server, by name.
type party map[string]*listener

func newParty(t *testing.T, network, addr string, names ...string) party {
	p := party{}
	for len(p) < len(names) {
		conn, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		l := &listener{t: t, conn: conn, r: resp.NewReader(conn)}
		id := l.do("CLIENT", "ID")[0].Int
		if id >= firstNumber {
			l.id = strconv.FormatInt(id, 10)
			p[names[len(p)]] = l
		}
	}
	return p
}

// firstNumber is the number of the first client, on both sides: no reply has it by chance.
const firstNumber = 50

// do sends a command and answers its reply with what came before it.
func (l *listener) do(args ...string) (got []resp.Value) {
	if _, err := l.conn.Write(resp.AppendCommandStrings(nil, args...)); err != nil {
		l.t.Fatal(err)
	}
	for {
		v := l.read()
		got = append(got, v)
		if !isMessage(v) {
			return got
		}
	}
}

func (l *listener) read() resp.Value {
	l.conn.SetReadDeadline(time.Now().Add(patience))
	v, err := l.r.Read()
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

func isMessage(v resp.Value) bool {
	if len(v.Elems) < 2 {
		return false
	}
	switch string(v.Elems[0].Str) {
	case "message":
		return true
	case "invalidate", "tracking-redir-broken":
		return v.Kind == '>'
	}
	return false
}

// say sends a line "who: command" and answers what every client received, in order.
func (p party) say(line string) (heard []string) {
	who, rest, _ := strings.Cut(line, ": ")
	words := strings.Fields(rest)
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `""`, "")
		if name, ok := strings.CutPrefix(w, "$"); ok {
			words[i] = p[name].id
		}
	}
	got := p[who].do(words...)
	if words[0] == "HELLO" {
		got = got[:len(got)-1] // names the program
	}
	heard = append(heard, print(who, got...))
	for _, name := range slices.Sorted(mapKeys(p)) {
		got := p[name].do("PING", "mark")
		more := got[:len(got)-1]
		if name == "r" {
			sortElems(more, 1) // of two who redirect to it redis-server sends those of the client at work last
		}
		if len(more) > 0 {
			heard = append(heard, print(name, more...))
		}
	}
	return heard
}

func mapKeys(p party) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range p {
			if !yield(name) {
				return
			}
		}
	}
}

func print(who string, values ...resp.Value) string {
	out := who + " hears"
	for _, v := range values {
		out += " " + string(v.Kind) + strings.ReplaceAll(v.String(), session.Version, "7.0.15") // of HELLO in a transaction
	}
	return out
}

func compareParties(t *testing.T, lines []string, real, ours party) {
	t.Helper()
	for _, line := range lines {
		want, got := real.say(line), ours.say(line)
		if !slices.Equal(want, got) {
			t.Fatalf("%s\nredis-server:\n  %s\nours:\n  %s", line, strings.Join(want, "\n  "), strings.Join(got, "\n  "))
		}
	}
}

// trackingStories are conversations of several clients. "r" is one that is redirected to.
var trackingStories = map[string]string{
	"normal": `a: HELLO 3
a: CLIENT TRACKING on
a: GET k
a: MGET k k2 k3
b: SET k 1
b: SET k 2
b: MSET k2 1 k3 1
a: GET k
a: SET k 3
a: GET k
b: RENAME k k2
a: HGETALL h
b: HSET h f v
a: EXISTS s
b: SADD s x
a: SMEMBERS s
b: SADD s x
b: SREM s x
a: XREAD COUNT 1 STREAMS x 0
b: XADD x 1-1 f v
a: GET k3
b: FLUSHALL
b: FLUSHDB
a: GET k3
a: FLUSHALL
a: DBSIZE
a: CLIENT TRACKING off
b: SET k 9`,
	"transaction": `a: HELLO 3
a: CLIENT TRACKING on
a: MULTI
a: GET k
a: SET k 1
a: GET k2
a: EXEC
b: SET k2 2
a: GET k
a: MULTI
a: SET k 5
a: INCR k
a: EXEC
a: GET k
b: MULTI
b: SET k 6
b: FLUSHDB
b: EXEC`,
	"scripts": `a: HELLO 3
a: CLIENT TRACKING on
a: EVAL return(redis.call('get',KEYS[1])) 2 k k2
b: SET k2 1
b: SET k 1
a: EVAL return(redis.call('set',KEYS[1],'v')) 2 k k2
b: MSET k 1 k2 2
a: EVAL redis.call('get',KEYS[1]);return(redis.call('set',KEYS[1],'v')) 1 k
b: MSET k 1 k2 2
a: EVAL_RO return(redis.call('get',KEYS[1])) 1 k
b: EVAL return(redis.call('set',KEYS[1],'v')) 1 k
a: CLIENT TRACKING on NOLOOP
a: GET k
a: EVAL return(redis.call('set',KEYS[1],'v')) 1 k
a: CLIENT TRACKING off
a: CLIENT TRACKING on BCAST NOLOOP
a: EVAL return(redis.call('set',KEYS[1],'v')) 1 k
a: SET k 1`,
	"redirect": `r: SUBSCRIBE __redis__:invalidate
a: CLIENT TRACKING on REDIRECT $r
a: GET k
b: SET k 1
a: GET k
a: SET k 2
a: CLIENT GETREDIR
a: CLIENT TRACKINGINFO
a: GET k
b: FLUSHALL
a: HELLO 3
a: GET k
b: FLUSHALL
a: GET k
b: SET k 1
b: HELLO 3
b: CLIENT TRACKING on REDIRECT $r NOLOOP
a: GET k
b: GET k
b: SET k 2
r: UNSUBSCRIBE __redis__:invalidate
a: GET k
b: SET k 2
r: HELLO 3
a: GET k
b: SET k 2
a: CLIENT TRACKING on
a: GET k
b: SET k 2`,
	"broadcast": `a: HELLO 3
a: CLIENT TRACKING on BCAST PREFIX x: PREFIX y:
c: HELLO 3
c: CLIENT TRACKING on BCAST NOLOOP
b: MSET x:1 1 y:1 1 z:1 1
c: MSET x:1 1 y:1 1 z:1 1
b: MULTI
b: SET y:2 1
b: SET x:2 1
b: SET x:1 1
b: EXEC
a: SET x:1 1
a: CLIENT TRACKINGINFO
a: CLIENT TRACKING on BCAST PREFIX z:
a: CLIENT TRACKINGINFO
b: SET z:1 1
b: DEL x:1 x:2
a: GET x:1
b: FLUSHDB
a: CLIENT TRACKING off
b: SET x:1 1
a: CLIENT TRACKINGINFO`,
	"opt": `a: HELLO 3
a: CLIENT CACHING yes
a: CLIENT TRACKING on OPTIN
a: GET k
b: SET k 1
a: CLIENT CACHING no
a: CLIENT CACHING yes
a: CLIENT TRACKINGINFO
a: CLIENT ID
a: CLIENT TRACKINGINFO
a: GET k
a: CLIENT TRACKINGINFO
a: GET k2
b: MSET k 1 k2 2
a: CLIENT CACHING yes
a: MULTI
a: GET k
a: GET k2
a: EXEC
a: GET k3
b: MSET k 1 k2 2 k3 3
a: CLIENT CACHING yes
a: NOSUCH
a: GET k
b: SET k 1
a: CLIENT TRACKING on OPTOUT
a: CLIENT TRACKING off
a: CLIENT TRACKING on OPTOUT
a: CLIENT CACHING yes
a: CLIENT CACHING no
a: CLIENT TRACKINGINFO
a: GET k
a: GET k2
b: MSET k 1 k2 2
a: CLIENT CACHING maybe`,
	"errors": `a: CLIENT TRACKING
a: CLIENT TRACKING maybe
a: CLIENT TRACKING on REDIRECT
a: CLIENT TRACKING on REDIRECT x
a: CLIENT TRACKING on REDIRECT 123456789
a: CLIENT TRACKING on REDIRECT $b REDIRECT $b
a: CLIENT TRACKING on PREFIX x
a: CLIENT TRACKING on BCAST OPTIN
a: CLIENT TRACKING on OPTIN OPTOUT
a: CLIENT TRACKING on BCAST PREFIX foo PREFIX foobar
a: CLIENT TRACKING on BCAST PREFIX foobar PREFIX foo
a: CLIENT TRACKING on BCAST PREFIX foo PREFIX bar
a: CLIENT TRACKING on BCAST PREFIX fo
a: CLIENT TRACKING on BCAST PREFIX foo
a: CLIENT TRACKING on
a: CLIENT TRACKING on BCAST
a: CLIENT TRACKINGINFO
a: CLIENT TRACKING off
a: CLIENT TRACKING on BCAST nonsense
a: CLIENT GETREDIR
a: CLIENT TRACKING on
a: CLIENT GETREDIR
a: RESET
a: CLIENT GETREDIR`,
	"databases": `a: HELLO 3
a: CLIENT TRACKING on
a: GET k
b: SELECT 1
b: SET k 1
a: GET k
b: SWAPDB 0 1
b: MOVE k 2
a: GET k
b: COPY k k2
a: EXISTS k
b: EXPIRE k 100
a: TTL k
b: PERSIST k`,
}

func TestTrackingStories(t *testing.T) {
	for name, story := range trackingStories {
		t.Run(name, func(t *testing.T) {
			real := oracle.Start(t, "--save", "", "--enable-debug-command", "yes")
			ours := servertest.Start(t)
			names := []string{"a", "b", "c", "r"}
			compareParties(t, strings.Split(story, "\n"),
				newParty(t, "unix", real.Sock, names...), newParty(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()), names...))
		})
	}
}

// TestTrackingAgainstRedis lets three clients with changing kinds of tracking read and write some keys, and compares what
// each of them hears.
func TestTrackingAgainstRedis(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	rnd := rand.New(rand.NewPCG(s, 1))
	real := oracle.Start(t, "--save", "")
	ours := servertest.Start(t)
	names := []string{"a", "b", "c", "r"}
	p, q := newParty(t, "unix", real.Sock, names...), newParty(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()), names...)
	compareParties(t, []string{"r: SUBSCRIBE any", "a: HELLO 3", "b: HELLO 3"}, p, q)
	inMulti := map[string]bool{}
	for i := range 2000 {
		line := trackingLine(rnd, inMulti)
		want, got := p.say(line), q.say(line)
		if !slices.Equal(want, got) {
			t.Fatalf("seed %d, step %d: %s\nredis-server:\n  %s\nours:\n  %s", s, i, line, strings.Join(want, "\n  "), strings.Join(got, "\n  "))
		}
	}
}

// trackingLine makes a line. In a transaction nobody changes the way in which it is told: redis-server tells of what a client
// changed there in the way that is in force at its end.
func trackingLine(r *rand.Rand, inMulti map[string]bool) string {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	name := one("a", "b", "c")
	who := name + ": "
	key := func() string { return one("x:1", "x:2", "y:1", "k", "l", "") + one("", "1", "2") }
	switch n := r.IntN(20); {
	case n < 4 && inMulti[name]:
		inMulti[name] = false
		return who + one("EXEC", "EXEC", "EXEC", "DISCARD")
	case n < 2:
		options := ""
		for range r.IntN(4) {
			options += " " + one("REDIRECT $r", "REDIRECT $r", "NOLOOP", "OPTIN", "OPTOUT", "BCAST", "PREFIX x:", "PREFIX y:", "BCAST PREFIX x")
		}
		return who + "CLIENT TRACKING " + one("on", "on", "off") + options
	case n < 3:
		return who + "CLIENT CACHING " + one("yes", "no")
	case n < 4:
		return who + one("CLIENT TRACKINGINFO", "CLIENT GETREDIR", "FLUSHALL", "HELLO 2", "HELLO 3", "SWAPDB 0 1", "EXEC")
	case n < 5:
		inMulti[name] = true
		return who + "MULTI"
	case n < 12:
		return who + one("GET "+key()+"k", "MGET k l "+key(), "STRLEN x:1", "EXISTS k l x:2", "TYPE y:1")
	}
	return who + one("SET "+key()+"k v", "MSET k 1 x:1 2 y:1 3 x:2 4", "DEL k x:1", "INCR n", "APPEND l x", "RENAME k l", "COPY x:1 x:2 REPLACE",
		"EVAL redis.call('set',KEYS[1],1);redis.call('get',KEYS[2]) 2 k l", "GETDEL x:1", "SETNX y:1 2")
}

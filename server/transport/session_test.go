package transport

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// oracleClient speaks to a real redis-server.
func oracleClient(t testing.TB, s *oracle.Server) *client {
	t.Helper()
	c, err := net.Dial("unix", s.Sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newClient(t, c)
}

// sessions are scripts of one client whose replies must be Redis'. A line that starts with ">" is sent in RESP3 from
// there on. Each line is a command; words are separated by blanks.
var sessions = map[string]string{
	"transactions": `
MULTI
SET a 1
INCR a
GET a
EXEC
EXEC
DISCARD
MULTI
MULTI
WATCH a
DISCARD
MULTI
NOSUCH
SET a
EXEC
MULTI
SET a 5
HSET a f v
INCR a
EXEC
GET a
MULTI
EXEC
WATCH a b c
SET a 9
MULTI
GET a
EXEC
WATCH a
UNWATCH
SET a 10
MULTI
GET a
EXEC
MULTI
SELECT 3
SET x 1
EXEC
GET x
SELECT 0
GET x
MULTI
ECHO hi
PING
RESET
EXEC
MULTI
WATCH a
GET a
EXEC
MULTI
AUTH x
EXEC
MULTI
SAVE
EXEC`,
	"connection": `
PING
PING hello
PING a b
ECHO x
ECHO
SELECT 1
SELECT 16
SELECT -1
SELECT a
SELECT 99999999999
AUTH pw
AUTH default anything
AUTH nobody pw
AUTH a b c
HELLO 4
HELLO x
HELLO 2 SETNAME
HELLO 2 SETNAME a\x20b
HELLO 2 NOPE
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
HELLO 2 SETNAME you AUTH default x
CLIENT GETNAME
CLIENT SETNAME
RESET
CLIENT GETNAME
QUIT`,
	"client": `
CLIENT
CLIENT NOPE
CLIENT REPLY nope
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT NO-EVICT x
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL ID 99999
CLIENT KILL TYPE nope
CLIENT KILL TYPE pubsub
CLIENT KILL ADDR 1.2.3.4:5 SKIPME yes
CLIENT KILL USER nobody
CLIENT KILL SKIPME maybe
CLIENT KILL ID 1 TYPE
CLIENT UNBLOCK x
CLIENT UNBLOCK 99999
CLIENT UNBLOCK 99999 NOPE
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 0 nope
CLIENT PAUSE 1 WRITE
SET a 1
CLIENT UNPAUSE
CLIENT LIST TYPE nope
CLIENT LIST ID x
CLIENT LIST NOPE
CLIENT LIST ID 99999
CLIENT ID x`,
	"config": `
CONFIG
CONFIG GET
CONFIG GET maxmemory
CONFIG GET slowlog-max*n
CONFIG GET slave-read-only
CONFIG GET nosuch
CONFIG SET maxmemory
CONFIG SET maxmemory 1mb
CONFIG GET maxmemory
CONFIG SET maxmemory nonsense
CONFIG SET maxmemory 0 timeout x
CONFIG SET nosuch 1
CONFIG SET port2
CONFIG SET databases 3
CONFIG SET slave-read-only no
CONFIG GET replica-read-only
CONFIG REWRITE
CONFIG RESETSTAT
CONFIG NOPE`,
	"debug": `
SET k value
SET n 12345
HSET h f1 v1 f2 v2
SET e v EX 1000
SELECT 3
SET other x
DEBUG DIGEST
SELECT 0
DEBUG DIGEST
DEBUG DIGEST-VALUE k n h e nosuch
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG SLEEP 0
DEBUG POPULATE 20 pre 10
DEBUG POPULATE 5
DBSIZE
GET pre:3
GET key:4
DEBUG DIGEST
DEBUG CHANGE-REPL-ID
DEBUG OBJECT nosuch`,
	"resp3": `
HELLO 3 SETNAME x
>GET nosuch
>HGETALL nosuch
>HSET h a 1 b 2
>HGETALL h
>CONFIG GET maxmemory
>MULTI
>GET nosuch
>HGETALL h
>EXEC
>WATCH h
>SET other 1
>HSET h a 2
>MULTI
>PING
>EXEC
>CLIENT GETNAME
>RESET
GET nosuch`,
	"errors": `
nosuch
NOSUCH a b c
GET
GET a b
config
SET a b c d
HELLO
TIME x
LASTSAVE x
SHUTDOWN NOPE
BGSAVE NOPE
INFO a b c`,
}

// variable parts of replies that must agree in shape only.
var variable = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`"version" "[^"]*"`), `"version" V`},
	{regexp.MustCompile(`"id" \(integer\) \d+`), `"id" N`},
	{regexp.MustCompile(`"role" "[a-z]*"`), `"role" R`},
}

func canonical(s string) string {
	for _, v := range variable {
		s = v.re.ReplaceAllString(s, v.by)
	}
	return s
}

func TestSessionsAnswerLikeRedis(t *testing.T) {
	for name, script := range sessions {
		t.Run(name, func(t *testing.T) {
			theirs := oracleClient(t, oracle.Start(t, "--save", "", "--enable-debug-command", "yes"))
			r := newRig(t, rigOptions{config: "save \"\"\n"})
			ours := dial(t, r.addr)
			for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
				line = strings.TrimPrefix(line, ">")
				if line == "" || skipLine(name, line) {
					continue
				}
				words := strings.Fields(line)
				for i := range words {
					words[i] = strings.ReplaceAll(words[i], `\x20`, " ")
				}
				a, b := canonical(theirs.do(words...)), canonical(ours.do(words...))
				if a != b {
					t.Errorf("%s\nredis %s\nours  %s", line, a, b)
				}
			}
		})
	}
}

// skipLine names what is known to differ, with its reason.
func skipLine(name, line string) bool {
	return name == "errors" && line == "INFO a b c" // Redis answers an empty string; so do we, in another encoding
}

func TestReplyOffAndSkip(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	c.raw("CLIENT REPLY SKIP\r\nPING\r\nECHO one\r\nCLIENT REPLY OFF\r\nPING\r\nNOSUCH\r\nCLIENT REPLY ON\r\nECHO two\r\n")
	want(t, c.reply(), `"one"`)
	want(t, c.reply(), "OK")
	want(t, c.reply(), `"two"`)
}

func TestClientListAndKill(t *testing.T) {
	r := newRig(t, rigOptions{loops: 2})
	a, b := dial(t, r.addr), dial(t, r.addr)
	want(t, a.do("CLIENT", "SETNAME", "killer"), "OK")
	want(t, b.do("CLIENT", "SETNAME", "victim"), "OK")
	list := a.do("CLIENT", "LIST")
	for _, part := range []string{"name=killer", "name=victim", "cmd=client|list", "cmd=client|setname", "user=default", "resp=2", "lib-name="} {
		if !strings.Contains(list, part) {
			t.Errorf("%q is missing in %s", part, list)
		}
	}
	id := b.do("CLIENT", "ID")
	want(t, a.do("CLIENT", "KILL", "ID", strings.TrimPrefix(id, "(integer) ")), "(integer) 1")
	if rest := b.ends(); rest != "" {
		t.Errorf("the victim got %q", rest)
	}
	want(t, a.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), "(integer) 1")
	want(t, a.ends(), "")
}

// TestWhoSeesTheEndIsGone: when a client finds its connection ended the server has forgotten it, whatever that takes.
func TestWhoSeesTheEndIsGone(t *testing.T) {
	r := newRig(t, rigOptions{loops: 2})
	a, b := dial(t, r.addr), dial(t, r.addr)
	want(t, b.do("SUBSCRIBE", "c"), `*["subscribe" "c" (integer) 1]`)
	victim := r.awaitConn("the subscriber", func(c *conn) bool { return c.sess.Receives() })
	r.e.Exclusive(func() { // the subscription cannot end before
		victim.Kill("")
		b.silent(50 * time.Millisecond)
	})
	want(t, b.ends(), "")
	want(t, a.do("PUBSUB", "NUMSUB", "c"), `*["c" (integer) 0]`)
	want(t, a.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), "(integer) 1")
}

// TestAnnouncedTooMuch: a command that is longer than what all clients together may take ends its client as soon as it is announced, and
// not when its last byte is there; a protected client goes on.
func TestAnnouncedTooMuch(t *testing.T) {
	r := newRig(t, rigOptions{loops: 2})
	a, b, c := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	want(t, a.do("CONFIG", "SET", "maxmemory-clients", "1mb"), "OK")
	want(t, c.do("CLIENT", "NO-EVICT", "on"), "OK")
	long := "*2\r\n$4\r\nECHO\r\n$" + strconv.Itoa(2<<20) + "\r\n"
	begun := long + strings.Repeat("v", readSize-len(long))
	b.raw(begun)
	want(t, b.ends(), "")
	d := dial(t, r.addr) // what begins with a short write is known by the next one
	d.raw(begun[:100])
	r.awaitConn("the short write to be read", func(c *conn) bool { return len(c.query) == 100 })
	d.raw("v")
	want(t, d.ends(), "")
	c.raw(begun)
	r.awaitConn("all of the long one to be read", func(c *conn) bool { return len(c.query) == len(begun) })
	want(t, a.do("CONFIG", "SET", "maxmemory-clients", "0"), "OK") // its bytes would cost the others their place
	c.raw(strings.Repeat("v", 2<<20-(len(begun)-len(long))) + "\r\n")
	if got := c.reply(); len(got) < 2<<20 {
		t.Errorf("a reply of %d bytes", len(got))
	}
	if info := a.do("INFO", "stats"); !strings.Contains(info, `evicted_clients:2\r`) {
		t.Error(info)
	}
}

func TestPauseOnTheWire(t *testing.T) {
	r := newRig(t, rigOptions{})
	a, b := dial(t, r.addr), dial(t, r.addr)
	want(t, a.do("CLIENT", "PAUSE", "1000000", "WRITE"), "OK")
	b.raw("GET k\r\nSET k 1\r\nGET k\r\n")
	want(t, b.reply(), "(nil)")
	b.silent(100 * time.Millisecond)
	want(t, a.do("GET", "k"), "(nil)")
	blocked := func(n int) {
		t.Helper()
		if info := a.do("INFO", "clients"); !strings.Contains(info, fmt.Sprintf("blocked_clients:%d", n)) {
			t.Errorf("want blocked_clients:%d in %s", n, info)
		}
	}
	blocked(1)
	want(t, a.do("CLIENT", "UNPAUSE"), "OK")
	want(t, b.reply(), "OK")
	want(t, b.reply(), `"1"`)
	begin := time.Now()
	want(t, a.do("CLIENT", "PAUSE", "100", "ALL"), "OK")
	want(t, b.do("PING"), "PONG")
	if d := time.Since(begin); d < 80*time.Millisecond {
		t.Errorf("a paused PING was answered after %v", d)
	}
	// A client that goes away while it is held back is noticed.
	want(t, a.do("CLIENT", "PAUSE", "1000000", "WRITE"), "OK")
	b.raw("SET k 2\r\n")
	await(t, "the client to be held back", func() bool { return strings.Contains(a.do("INFO", "clients"), `blocked_clients:1\r`) })
	b.Close()
	await(t, "the paused client's end to be noticed", func() bool { return r.s.Count() == 1 })
	blocked(0)
	want(t, a.do("CLIENT", "UNPAUSE"), "OK")
	blocked(0)
	want(t, a.do("GET", "k"), `"1"`)
}

func TestSlowReaderIsClosedAtItsLimit(t *testing.T) {
	r := newRig(t, rigOptions{config: "client-output-buffer-limit normal 1mb 0 0\n"})
	a, slow := dial(t, r.addr), dial(t, r.addr)
	want(t, a.do("SET", "big", strings.Repeat("x", 100<<10)), "OK")
	go func() {
		for range 500 {
			if _, err := slow.Write(resp.AppendCommandStrings(nil, "GET", "big")); err != nil {
				return
			}
		}
	}()
	await(t, "a client that reads nothing to be closed", func() bool { return r.logged("output buffer limits") })
	want(t, a.do("PING"), "PONG")
}

// TestMessagesThatAreNotQueuedAreNotCounted: what a subscriber that is closed for its limit did not get, it never used.
func TestMessagesThatAreNotQueuedAreNotCounted(t *testing.T) {
	r := newRig(t, rigOptions{config: "client-output-buffer-limit pubsub 1mb 0 0\n"})
	a := dial(t, r.addr)
	message := strings.Repeat("x", 300<<10)
	want(t, a.do("PUBLISH", "c", message), "(integer) 0")
	want(t, a.do("PING"), "PONG") // by now the loop has counted that the request is gone
	before := r.e.ClientBytes()
	for range 3 {
		slow := dial(t, r.addr)
		slow.do("SUBSCRIBE", "c")
		for i := 0; a.do("PUBLISH", "c", message) != "(integer) 0"; i++ {
			if i > 1000 {
				t.Fatal("a subscriber that reads nothing is kept")
			}
		}
	}
	await(t, fmt.Sprintf("clients to take %d bytes, as before", before), func() bool { return r.e.ClientBytes() == before })
}

func TestPasswordAndProtectedMode(t *testing.T) {
	r := newRig(t, rigOptions{})
	a := dial(t, r.addr)
	if text := r.s.Admit(0, false); !strings.HasPrefix(text, "-DENIED Redis is running in protected mode") {
		t.Errorf("a foreign client is told %q", text)
	}
	want(t, a.do("CONFIG", "SET", "requirepass", "pw"), "OK")
	want(t, a.do("PING"), "PONG") // who is in stays in
	if text := r.s.Admit(0, false); text != "" {
		t.Errorf("with a password a foreign client is told %q", text)
	}
	b := dial(t, r.addr)
	want(t, b.do("PING"), "(error) NOAUTH Authentication required.")
	wantPrefix(t, b.do("HELLO", "3"), "(error) NOAUTH HELLO must be called")
	wantPrefix(t, b.do("HELLO", "3", "AUTH", "default", "pw"), `%["server"`)
	want(t, b.do("RESET"), "RESET")
	want(t, b.do("PING"), "(error) NOAUTH Authentication required.")
	want(t, a.do("CONFIG", "SET", "requirepass", ""), "OK")
	want(t, b.do("PING"), "PONG")
}

func TestInfoHasWhatToolsParse(t *testing.T) {
	s := oracle.Start(t, "--save", "")
	r := newRig(t, rigOptions{})
	fields := regexp.MustCompile(`(?m)^([a-z_0-9]+):`)
	ours := r.s.InfoText("everything")
	have := map[string]bool{}
	for _, m := range fields.FindAllStringSubmatch(ours, -1) {
		have[m[1]] = true
	}
	for _, section := range []string{"server", "clients", "memory", "stats", "cpu", "cluster"} {
		theirs := string(s.Do("INFO", section).Str)
		var missing []string
		for _, m := range fields.FindAllStringSubmatch(theirs, -1) {
			if !have[m[1]] && !foreignField(m[1]) {
				missing = append(missing, m[1])
			}
		}
		if len(missing) > 0 {
			t.Errorf("section %s lacks %v", section, missing)
		}
	}
}

// foreignField tells the fields of INFO that speak of what there is none of here: fork, jemalloc, Lua, active
// defragmentation, threads of Redis' own, and buffers that are counted otherwise.
func foreignField(name string) bool {
	for _, part := range []string{"fork", "gcc_version", "sync_", "used_cpu_sys_main", "used_cpu_user_main", "aof_", "repl_"} {
		if strings.HasPrefix(name, part) || strings.Contains(name, part) {
			return true
		}
	}
	return strings.HasPrefix(name, "instantaneous_input_repl") || strings.HasPrefix(name, "instantaneous_output_repl") || strings.HasPrefix(name, "total_net_repl")
}

// Clients of different loops look at each other while they come, go and change: for the race detector.
func TestLoopsWatchEachOther(t *testing.T) {
	r := newRig(t, rigOptions{loops: 3, config: "requirepass pw\n"})
	admin := dial(t, r.addr)
	want(t, admin.do("AUTH", "pw"), "OK")
	done := make(chan struct{})
	for range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 40 {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				text := "AUTH pw\r\nCLIENT SETNAME x\r\nSET k v\r\nWATCH k\r\nMULTI\r\nGET k\r\nEXEC\r\n"
				if i%4 == 0 {
					text += "*1\r\n:\r\n"
				}
				if i%4 == 1 {
					text += "QUIT\r\n"
				}
				c.Write([]byte(text))
				c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
				resp.NewReader(c).Read()
				c.Close()
			}
		}()
	}
	for left := 3; left > 0; {
		select {
		case <-done:
			left--
		default:
			wantPrefix(t, admin.do("CLIENT", "LIST"), `"id=`)
			want(t, admin.do("CONFIG", "SET", "requirepass", ""), "OK")
			want(t, admin.do("SET", "k", "w"), "OK")
			want(t, admin.do("CONFIG", "SET", "requirepass", "pw"), "OK")
			wantPrefix(t, admin.do("INFO", "everything"), `"# Server`)
		}
	}
	await(t, "one session to be left", func() bool { return r.s.Count() == 1 })
}

func TestSlowlog(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	want(t, c.do("SLOWLOG", "LEN"), "(integer) 0")
	want(t, c.do("CLIENT", "SETNAME", "me"), "OK")
	want(t, c.do("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "4"), "OK")
	want(t, c.do("SLOWLOG", "RESET"), "OK")
	want(t, c.do("CONFIG", "SET", "masterauth", "hush"), "OK")
	c.do("HELLO", "2", "AUTH", "default", "hush", "SETNAME", "me")
	want(t, c.do("AUTH", "default", "hush"), "OK")
	want(t, c.do("SET", "k", strings.Repeat("x", 200)), "OK")
	got := c.do("SLOWLOG", "GET", "-1")
	for _, part := range []string{"(redacted)", "masterauth", "... (72 more bytes)", "me"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in %s", part, got)
		}
	}
	if strings.Contains(got, "hush") {
		t.Errorf("a password stands in the slow log: %s", got)
	}
	want(t, c.do("SLOWLOG", "LEN"), "(integer) 4")
	wantPrefix(t, c.do("SLOWLOG", "GET", "-2"), "(error) ERR count should be greater than or equal to -1")
	want(t, c.do("CONFIG", "SET", "slowlog-log-slower-than", "-1"), "OK")
	want(t, c.do("SLOWLOG", "RESET"), "OK")
	want(t, c.do("PING"), "PONG")
	want(t, c.do("SLOWLOG", "LEN"), "(integer) 0")
}

func TestPipelineBeyondTheOutputLimitGetsNothing(t *testing.T) {
	for name, size := range map[string]int{"small values": 10_000, "values sent in place": 40_000} {
		r := newRig(t, rigOptions{config: "client-output-buffer-limit normal 100000 0 0\n"})
		c := dial(t, r.addr)
		want(t, c.do("SET", "k", strings.Repeat("x", size)), "OK")
		for range 20 { // one after the other they are no trouble
			if got := c.do("GET", "k"); len(got) < size {
				t.Fatalf("%s: %s", name, got)
			}
		}
		c.raw(strings.Repeat("GET k\r\n", 15))
		if got := c.ends(); got != "" {
			t.Errorf("%s: %d bytes of replies beyond the limit left", name, len(got))
		}
	}
}

func TestClientListShowsTheQuery(t *testing.T) {
	r := newRig(t, rigOptions{})
	c, other := dial(t, r.addr), dial(t, r.addr)
	want(t, other.do("CLIENT", "SETNAME", "other"), "OK")
	if got := c.do("CLIENT", "LIST"); !strings.Contains(got, "qbuf=26 ") {
		t.Errorf("no query of 26 bytes in %s", got)
	}
	other.raw("*2\r\n$3\r\nGET\r\n")
	await(t, "an unfinished query of 13 bytes to be listed", func() bool { return strings.Contains(c.do("CLIENT", "LIST"), "qbuf=13 ") })
}

// TestEndlessReplyEndsAtTheLimit, not when the memory does.
func TestEndlessReplyEndsAtTheLimit(t *testing.T) {
	r := newRig(t, rigOptions{config: "client-output-buffer-limit normal 1mb 0 0\n"})
	c := dial(t, r.addr)
	want(t, c.do("HSET", "h", "a", "b"), "(integer) 1")
	for _, line := range []string{"HRANDFIELD h -4000000000000000000", "MULTI\r\nHRANDFIELD h -4000000000000000000\r\nEXEC"} {
		c := dial(t, r.addr)
		c.raw(line + "\r\n")
		if got := c.ends(); strings.Contains(got, "$1") {
			t.Errorf("%d bytes of a reply beyond the limit came", len(got))
		}
	}
	want(t, c.do("HRANDFIELD", "h", "-2"), `*["a" "a"]`)
}

package diff

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

func TestMain(m *testing.M) {
	if os.Getenv("CI") == "true" && !oracleThere() {
		fmt.Println("NOT RUN: apt-get install redis-server redis-tools (every test here compares with it)")
		os.Exit(1)
	}
	servertest.Main(m)
}

// elsewhere lists the commands whose replies belong to the server and not to its data.
var elsewhere = map[string]bool{"info": true, "debug": true, "save": true, "bgsave": true, "lastsave": true, "shutdown": true, "time": true, "role": true, "monitor": true, "lolwut": true,
	"replicaof": true, "slaveof": true, "sync": true, "psync": true, "replconf": true, "failover": true, "wait": true, "waitaof": true, "bgrewriteaof": true, "quit": true, "reset": true,
	"hello": true, "auth": true, "select": true, "memory|stats": true, "memory|doctor": true, "memory|purge": true, "memory|malloc-stats": true,
	"latency|doctor": true, "latency|graph": true, "latency|histogram": true, "latency|history": true, "latency|latest": true, "latency|reset": true}

// talk is a random conversation: commands of the table, and transactions around some of them.
type talk struct {
	g       *Gen
	inMulti bool
	queued  [][]string // of the transaction
	version string
}

func newTalk(seed uint64, table *command.Table) *talk {
	return &talk{version: "2", g: NewGen(seed, table, time.Now().UnixMilli(), func(c *command.Cmd) bool {
		return !elsewhere[c.FullName] && !strings.HasPrefix(c.FullName, "client") && !strings.HasPrefix(c.FullName, "acl") && !strings.HasPrefix(c.FullName, "config") && c.Group != "transactions" && c.Group != "scripting" && c.Group != "pubsub"
	})}
}

func (k *talk) next() []string {
	g := k.g
	switch n := g.r.IntN(100); {
	case k.inMulti && n < 12:
		k.inMulti = false
		return []string{pick(g, []string{"EXEC", "EXEC", "EXEC", "DISCARD"})}
	case n < 3:
		k.inMulti = true // inside a transaction it is an error on both sides
		return []string{"MULTI"}
	case n < 4:
		return []string{"EXEC"}
	case n < 6:
		return []string{pick(g, []string{"WATCH", "UNWATCH", "watch"}), pick(g, g.keys)}
	case n < 8:
		return []string{"SELECT", pick(g, []string{"0", "1", "9", "16", "x"})}
	case n < 9 && !k.inMulti:
		k.version = pick(g, []string{"2", "3"})
		return []string{"HELLO", k.version, "SETNAME", "talker"}
	case n < 14:
		return g.script()
	case n < 15:
		return pick(g, [][]string{{"PING"}, {"PING", "x"}, {"ECHO", "y"}, {"CLIENT", "GETNAME"}, {"CLIENT", "SETNAME", "n"}, {"CLIENT", "SETNAME", "a b"}, {"SELECT"}, {"WAIT", "0", "1"}})
	}
	return g.Next()
}

// same compares two replies; those to EXEC as the replies to what was queued.
func (k *talk) same(args []string, want, got resp.Value) bool {
	ended := strings.EqualFold(args[0], "exec") || strings.EqualFold(args[0], "discard")
	if ended && len(k.queued) > 0 && len(want.Elems) == len(k.queued) && len(got.Elems) == len(k.queued) {
		queued := k.queued
		k.queued = nil
		for i, a := range queued {
			if !k.same(a, want.Elems[i], got.Elems[i]) {
				return false
			}
		}
		return want.Kind == got.Kind
	}
	switch {
	case ended:
		k.queued = nil
	case string(want.Str) == "QUEUED":
		k.queued = append(k.queued, args)
	case args[0] == scripted:
		loosen(&want, &got)
	}
	return Same(args, want, got)
}

// TestServerAgainstRedis talks to both servers, compares every reply, the data, their digests and their streams.
func TestServerAgainstRedis(t *testing.T) { forSeeds(t, serverAgainstRedis) }

func serverAgainstRedis(t *testing.T, s uint64) {
	real := oracle.Start(t, append([]string{"--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no", "--enable-debug-command", "yes"}, unshared...)...)
	ours := servertest.Start(t, append([]string{"--repl-diskless-sync-delay", "0"}, unshared...)...)
	realStream := OpenStream(t, "unix", real.Sock)
	oursStream := OpenStream(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()))
	k := newTalk(s, ours.Engine.Table)
	for i := range *commands {
		args := k.next()
		if KeptToItself(args) { // WATCH does not see it either
			continue
		}
		began := time.Now()
		want, got := real.Do(args...), ours.Do(args...)
		took(time.Since(began))
		if strings.EqualFold(args[0], "hello") { // names the program
			continue
		}
		if !k.same(args, want, got) {
			x, y := parting(&want, &got)
			t.Fatalf("seed %d, command %d: %q\nredis-server: %.1000s\nours:         %.1000s\n%.300s beside %.300s", s, i, args, want, got, x, y)
		}
	}
	for _, side := range []Doer{real, ours} {
		side.Do("DISCARD")
		side.Do("HELLO", "2")
	}
	compareStates(t, s, real, ours)
	real.Do("SET", "end", "")
	ours.Do("SET", "end", "")
	if d := DiffEffects(realStream.Until("end"), oursStream.Until("end")); d != "" {
		t.Fatalf("seed %d: %s", s, d)
	}
	checkDigests(t, real, ours)
}

// TestTalkOnceFound compares conversations that once differed.
func TestTalkOnceFound(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	ours := servertest.Start(t)
	for _, args := range [][]string{
		{"XGROUP", "CREATE", "stream", "g", "0", "MKSTREAM"},
		{"EVAL", wrappers[1], "0", "XREADGROUP", "GROUP", "g", "c", "BLOCK", "1", "STREAMS", "stream", ">"},
		{"EVAL", wrappers[1], "0", "XREAD", "BLOCK", "1", "STREAMS", "stream", "0"},
		{"EVAL", wrappers[1], "0", "BLPOP", "none", "0"},
		{"SADD", "set", "c", "b", "a", "z", "y", "x", "w"},
		{"EVAL", wrappers[1], "0", "SORT", "set", "BY", "nosort"},
		{"XREAD", "BLOCK", "1", "STREAMS", "stream", "$"}, // which may wait again
		{"EVALSHA", "short", "x", "k"}, {"EVALSHA", "short", "5"}, {"EVALSHA_RO", "", "0"}, {"EVALSHA", strings.Repeat("0", 40), "x"}, {"EVALSHA", strings.Repeat("0", 40), "1"},
		{"CLIENT", "UNBLOCK", "1", "ERROR", "x"}, {"CLIENT", "PAUSE", "1", "ALL", "x"}, {"CONFIG", "SET", "maxmemory", "1", "port"}, {"CONFIG", "SET", "maxmemory"}, {"ACL", "CAT", "read", "x"},
	} {
		if want, got := real.Do(args...), ours.Do(args...); !Same(args, want, got) {
			t.Errorf("%q\nredis-server: %s\nours:         %s", args, want, got)
		}
	}
}

// checkDigests removes what may differ by a millisecond and compares the digests of everything else.
func checkDigests(t *testing.T, real, ours Doer) {
	t.Helper()
	for _, side := range []Doer{real, ours} {
		for db := range 16 {
			side.Do("SELECT", fmt.Sprint(db))
			side.Do("DEL", clockKey)
			for _, key := range side.Do("KEYS", "*").Elems {
				side.Do("PERSIST", string(key.Str))
			}
		}
	}
	if want, got := real.Do("DEBUG", "DIGEST").String(), ours.Do("DEBUG", "DIGEST").String(); want != got {
		t.Errorf("DEBUG DIGEST: redis-server %s, ours %s", want, got)
	}
}

// loosen prepares two replies to a script: what became of a command's reply in there is not known, so every nested
// aggregate is sorted, and a number that may be a remaining time is made equal when it is near.
func loosen(a, b *resp.Value) {
	withoutActivity(a)
	withoutActivity(b)
	nearAlike(a, b)
	moments(a, b)
	sortDeep(a)
	sortDeep(b)
}

// parting is the first place at which two replies of the same shape are different.
func parting(a, b *resp.Value) (x, y *resp.Value) {
	if len(a.Elems) == len(b.Elems) {
		for i := range a.Elems {
			if !equal(&a.Elems[i], &b.Elems[i]) {
				return parting(&a.Elems[i], &b.Elems[i])
			}
		}
	}
	return a, b
}

// nearAlike makes numbers at the same place equal where they are near: what a script was told may lie in an array of its own.
func nearAlike(a, b *resp.Value) {
	if a.Kind == ':' && b.Kind == ':' && a.Int > slack.Load() && near(a.Int, b.Int) {
		b.Int = a.Int
	}
	for i := range min(len(a.Elems), len(b.Elems)) {
		nearAlike(&a.Elems[i], &b.Elems[i])
	}
}

func sortDeep(v *resp.Value) {
	for i := range v.Elems {
		sortDeep(&v.Elems[i])
	}
	sortElems(v.Elems, 1)
}

// TestReplyTypes compares one reply of every type, in both versions of the protocol, byte by byte.
func TestReplyTypes(t *testing.T) {
	real := oracle.Start(t, "--save", "", "--enable-debug-command", "yes")
	ours := servertest.Start(t)
	for _, version := range []string{"2", "3"} {
		for _, kind := range protocolTypes {
			script := "HELLO " + version + "\r\nDEBUG PROTOCOL " + kind + "\r\nPING end\r\n"
			want, got := raw(t, "unix", real.Sock, script), raw(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()), script)
			if want != got {
				t.Errorf("RESP%s %s:\nredis-server: %q\nours:         %q", version, kind, want, got)
			}
		}
	}
}

// raw sends a script and returns the bytes that came behind the reply to its first command, up to the end's.
func raw(t *testing.T, network, address, script string) string {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, script); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if _, err := resp.NewReader(in).Read(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for !strings.HasSuffix(out.String(), "$3\r\nend\r\n") {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatalf("after %q: %v", out.String(), err)
		}
		out.WriteByte(b)
	}
	return out.String()
}

// TestReplySwitches compares what CLIENT REPLY lets through.
func TestReplySwitches(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	ours := servertest.Start(t)
	for _, middle := range []string{"SKIP|PING a|PING b", "SKIP|REPLY ON|PING a", "OFF|PING a|REPLY SKIP|PING b|REPLY ON|PING c", "OFF|REPLY SKIP|REPLY ON|PING a", "SKIP|REPLY SKIP|PING a|PING b",
		"SKIP|MULTI|PING a|EXEC", "SKIP|nosuch|PING a", "NO|PING a"} {
		script := "PING start\r\nCLIENT REPLY " + strings.ReplaceAll(strings.ReplaceAll(middle, "|REPLY", "\r\nCLIENT REPLY"), "|", "\r\n") + "\r\nCLIENT REPLY ON\r\nPING end\r\n"
		want, got := raw(t, "unix", real.Sock, script), raw(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()), script)
		if want != got {
			t.Errorf("%s:\nredis-server: %q\nours:         %q", middle, want, got)
		}
	}
}

// TestClientListInAScript: who asks is no client then. It takes DEBUG to be allowed.
func TestClientListInAScript(t *testing.T) {
	ours := servertest.Start(t, "--enable-debug-command", "yes")
	ours.Must("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
	if v := ours.Must("EVAL", "return redis.call('CLIENT', 'LIST')", "0"); !strings.HasPrefix(string(v.Str), "id=") {
		t.Errorf("%s", v)
	}
}

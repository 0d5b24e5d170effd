package diff

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/servertest"
)

// appendOnly are the two forms of a base.
var appendOnly = []string{"yes", "no"}

// fillAppendOnly lets a server run random commands with a rewrite among them, and what random commands do not do.
func fillAppendOnly(t *testing.T, p servertest.Peer, s uint64, n int) {
	k := newTalk(s, servertest.Start(t).Engine.Table)
	more := func() {
		for range n {
			if words := k.next(); !KeptToItself(words) { // nor does redis-server's file have it
				p.Do(words...)
			}
		}
		p.Do("DISCARD")
		p.Do("HELLO", "2")
		p.Do("SELECT", "0")
	}
	more()
	p.Must("FUNCTION", "LOAD", "REPLACE", "#!lua name=kept\nredis.register_function('kept', function() return 'kept' end)")
	p.Must("BGREWRITEAOF")
	servertest.Await(t, "the rewrite", func() bool { return p.Info("aof_rewrite_in_progress") == "0" })
	more()
	p.Must("SET", "mortal", "v", "PX", "100000000")
	p.Must("MULTI")
	p.Must("RPUSH", "l", "a", "b")
	p.Must("SPOP", "nosuch")
	p.Must("INCR", "n")
	p.Must("EXEC")
	p.Must("EVAL", "redis.call('set', 'by', 'script') redis.call('xadd', 'by:s', '*', 'f', 'v')", "0")
	p.Must("XGROUP", "CREATE", "by:s", "g", "0")
	p.Must("XREADGROUP", "GROUP", "g", "c", "STREAMS", "by:s", ">")
	p.Must("ZADD", "by:z", "inf", "a", "-inf", "b", "0.1", "c", "1e300", "d")
}

// same compares two data sets.
func same(t *testing.T, a, b servertest.Peer) {
	t.Helper()
	if x, y := a.Must("DEBUG", "DIGEST").String(), b.Must("DEBUG", "DIGEST").String(); x != y {
		t.Errorf("the data sets differ: %s, %s", x, y)
	}
	for _, words := range [][]string{{"FCALL", "kept", "0"}, {"ZRANGE", "by:z", "0", "-1", "WITHSCORES"}, {"XINFO", "STREAM", "by:s", "FULL"}, {"PEXPIRETIME", "mortal"}} {
		if got, want := a.Do(words...).String(), b.Do(words...).String(); got != want && words[0] != "XINFO" {
			t.Errorf("%v: %s, %s", words, got, want)
		}
	}
}

// placeOf is the offset of the replication stream at which the append-only file of a process ends.
func placeOf(t *testing.T, p *servertest.Process) string {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(p.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(parts) == 0 {
		t.Fatalf("increments: %v, %v", parts, err)
	}
	f, err := os.Open(slices.MaxFunc(parts, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }))
	if err != nil {
		return "" // a rewrite has removed it just now
	}
	defer f.Close()
	r := aof.NewReader(f, 0)
	for {
		if _, err := r.Batch(); err != nil {
			break // the end, or a part of what is being written
		}
	}
	notes := r.Notes()
	return strconv.FormatInt(notes.Place().Offset, 10)
}

// written waits until the append-only file has all: while a sync is under way, redis-server puts a write off for up to two seconds.
func written(t *testing.T, p servertest.Peer) {
	t.Helper()
	servertest.Await(t, "the file", func() bool { return p.Info("aof_buffer_length") == "0" })
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to, "appendonlydir"), os.DirFS(filepath.Join(from, "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
}

// TestAppendOnlyFilesOfOurs: redis-check-aof passes them, redis-server and ours load them and have the same data.
func TestAppendOnlyFilesOfOurs(t *testing.T) { forSeeds(t, appendOnlyFilesOfOurs) }

func appendOnlyFilesOfOurs(t *testing.T, s uint64) {
	for _, preamble := range appendOnly {
		ours := servertest.StartProcess(t, "--appendonly", "yes", "--appendfsync", "no", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes")
		replica := servertest.StartRedis(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(ours.Port())) // so that there are places to note
		servertest.AwaitLink(t, replica)
		fillAppendOnly(t, ours, s, 1500)
		written(t, ours)
		dir := t.TempDir()
		copyDir(t, ours.Dir(), dir)
		manifest := filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")
		if out, err := exec.Command("redis-check-aof", manifest).CombinedOutput(); err != nil || !strings.Contains(string(out), "All AOF files and manifest are valid") {
			t.Fatalf("redis-check-aof: %v\n%s", err, out)
		}
		if parts, _ := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof")); len(parts) != 1 {
			t.Errorf("increments: %v", parts)
		} else if text, _ := os.ReadFile(parts[0]); !strings.Contains(string(text), "#understudy:at "+ours.Info("master_replid")) || !strings.Contains(string(text), "#TS:") {
			t.Error("the increment has no places of the stream, or no times")
		}
		real := servertest.StartRedis(t, "--appendonly", "yes", "--dir", dir)
		same(t, ours, real)
		ours.Must("DEBUG", "LOADAOF")
		same(t, ours, real)
		ours.Kill()
		ours.Start()
		same(t, ours, real)
	}
}

// TestAppendOnlyFilesOfTheirs: ours load what redis-server writes, go on with it, and redis-server takes it back.
func TestAppendOnlyFilesOfTheirs(t *testing.T) { forSeeds(t, appendOnlyFilesOfTheirs) }

func appendOnlyFilesOfTheirs(t *testing.T, s uint64) {
	for _, preamble := range appendOnly {
		dir := t.TempDir()
		real := servertest.StartRedis(t, "--appendonly", "yes", "--dir", dir, "--aof-use-rdb-preamble", preamble)
		fillAppendOnly(t, real, s, 1500)
		written(t, real)
		ours := servertest.StartProcess(t, "--appendonly", "yes")
		ours.Kill()
		if err := os.RemoveAll(filepath.Join(ours.Dir(), "appendonlydir")); err != nil {
			t.Fatal(err)
		}
		copyDir(t, dir, ours.Dir())
		ours.Start()
		same(t, ours, real)
		for _, p := range []servertest.Peer{ours, real} {
			p.Must("SELECT", "5")
			p.Must("SET", "later", "1")
			p.Must("SELECT", "0")
		}
		written(t, ours)
		back := t.TempDir()
		copyDir(t, ours.Dir(), back)
		again := servertest.StartRedis(t, "--appendonly", "yes", "--dir", back)
		same(t, ours, real)
		same(t, again, real)
	}
}

// TestKilledUnderAppendfsyncAlways kills the process again and again while clients write and read: whatever a reply told is
// there afterwards, and a replica goes on with a partial resync.
func TestKilledUnderAppendfsyncAlways(t *testing.T) {
	ours := servertest.StartProcess(t, "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "20kb", "--auto-aof-rewrite-percentage", "50")
	const keys = 4
	var told [keys]atomic.Int64
	for round := range int64(6) {
		var stop atomic.Bool
		var clients sync.WaitGroup
		for i := range 2 * keys {
			clients.Go(func() {
				c := servertest.Dial(t, ours.Port(), "")
				defer c.Close()
				key, words := fmt.Sprint("k", i/2), []string{"INCR", fmt.Sprint("k", i/2)}
				if i%2 == 1 {
					words = []string{"GET", key}
				}
				for !stop.Load() {
					v := c.Do(words...)
					if v.IsError() {
						return
					}
					n := v.Int
					if i%2 == 1 {
						fmt.Sscan(string(v.Str), &n)
					}
					for old := told[i/2].Load(); n > old && !told[i/2].CompareAndSwap(old, n); old = told[i/2].Load() {
					}
				}
			})
		}
		servertest.Await(t, "some writes", func() bool { return told[0].Load() >= 300*(round+1) })
		ours.Kill()
		stop.Store(true)
		clients.Wait()
		ours.Start()
		for i := range keys {
			var n int64
			fmt.Sscan(string(ours.Must("GET", fmt.Sprint("k", i)).Str), &n)
			if n < told[i].Load() {
				t.Errorf("k%d is %d, a reply told %d", i, n, told[i].Load())
			}
		}
	}
}

// TestLongScriptUnderAppendfsyncAlways: messages and replies leave while a script goes on, though they wait for the file.
func TestLongScriptUnderAppendfsyncAlways(t *testing.T) {
	ours := servertest.StartProcess(t, "--appendonly", "yes", "--appendfsync", "always", "--io-threads", "1", "--lua-time-limit", "10")
	dial := func(script string) (conn net.Conn, want func(text string)) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(script)); err != nil {
			t.Fatal(err)
		}
		var got []byte
		return conn, func(text string) {
			t.Helper()
			conn.SetReadDeadline(time.Now().Add(patience))
			for !strings.Contains(string(got), text) {
				p := make([]byte, 4096)
				n, err := conn.Read(p)
				if got = append(got, p[:n]...); err != nil {
					t.Fatalf("%v, after %q; want %q", err, got, text)
				}
			}
		}
	}
	_, heard := dial("SUBSCRIBE c\r\n")
	heard("subscribe")
	listener, said := dial("HELLO 3\r\nSUBSCRIBE c\r\n")
	said("subscribe")
	_, writer := dial("SET x 1\r\nPUBLISH c message\r\nEVAL \"while true do end\" 0\r\nPING end\r\n")
	servertest.Await(t, "the script", func() bool { return strings.HasPrefix(string(ours.Do("GET", "x").Str), "BUSY") })
	if _, err := listener.Write([]byte("GET x\r\n")); err != nil {
		t.Fatal(err)
	}
	said("BUSY")
	said("message")
	killer, killed := dial("SCRIPT KILL\r\n")
	killed("+OK")
	_ = killer
	writer("end")
	heard("message")
	if got := string(ours.Must("GET", "x").Str); got != "1" {
		t.Error(got)
	}
}

// TestRestartedMasterContinuesItsHistory: after kill -9 the master knows its exact place (S8) and opens a new history there
// (S9); its replica goes on with a partial resync. So does a replica of a redis-server that was killed.
func TestRestartedMasterContinuesItsHistory(t *testing.T) {
	const ping = "repl-ping-replica-period"
	master := servertest.StartProcess(t, "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0", "--"+ping, "3600")
	replica := servertest.StartProcess(t, "--appendonly", "yes", "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port()))
	servertest.AwaitLink(t, replica)
	master.Must("SELECT", "7")
	for i := range 200 {
		master.Must("SET", fmt.Sprint("k", i), "v")
	}
	servertest.MustAgree(t, master, replica)
	id := master.Info("master_replid")
	for round := range 3 {
		before := master.Info("master_repl_offset")
		master.Must("CONFIG", "SET", ping, "1")
		servertest.Await(t, "a PING", func() bool { return master.Info("master_repl_offset") != before })
		master.Must("CONFIG", "SET", ping, "3600")
		for _, p := range []*servertest.Process{master, replica} { // which is in no file, but its place is noted within a second
			servertest.Await(t, "the place of the PING to be noted", func() bool { return placeOf(t, p) == master.Info("master_repl_offset") })
		}
		if round%2 == 0 {
			master.Kill()
			master.Start()
			if master.Info("master_replid2") != id || master.Info("master_replid") == id {
				t.Errorf("S9: a restart under %s, before it %s, was %s", master.Info("master_replid"), master.Info("master_replid2"), id)
			}
			id = master.Info("master_replid")
		} else {
			servertest.Await(t, "the replica's file", func() bool { return replica.Info("aof_rewrite_in_progress") == "0" })
			replica.Kill()
			replica.Start()
		}
		servertest.AwaitLink(t, replica)
		master.Must("INCR", "n")
		servertest.MustAgree(t, master, replica)
		if full, partial := master.Info("sync_full"), master.Info("sync_partial_ok"); full != "0" || partial == "0" {
			t.Errorf("round %d: %s full syncs, %s partial ones", round, full, partial)
		}
	}
}

package saving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/settings"
)

// appending is a bench with an append-only file, in the place that a load gave it.
func appending(t *testing.T, fs fsys.FS, dir, directives string) (*bench, Loaded, error) {
	t.Helper()
	b := &bench{t: t, cfg: settings.New()}
	if err := b.cfg.LoadText("test", "dir "+dir+"\nappendonly yes\nsave \"\"\n"+directives); err != nil {
		t.Fatal(err)
	}
	b.start(fs)
	b.saver.o.Fatal = runtime.Goexit // nothing of what waits for the file goes on
	loaded, err := b.saver.Load(context.Background(), false)
	if err != nil {
		return b, loaded, err
	}
	b.e.Exclusive(func() {
		if loaded.ReplID != "" {
			b.log.Restore(loaded.ReplID, loaded.ReplOffset, loaded.Tail)
		} else {
			b.log.CreateBacklog()
		}
		b.saver.Placed()
	})
	apart(b.saver.Start)
	return b, loaded, nil
}

// apart runs fn in a goroutine of its own: it may end in the midst when the process would.
func apart(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

// crashing is a file system whose power fails at one call.
type crashing struct {
	*fsys.Faulty
	mem  *fsys.Mem
	dead atomic.Bool
	n    atomic.Int64
}

var errPower = errors.New("no power")

func newCrashing(mem *fsys.Mem, at int) *crashing {
	c := &crashing{mem: mem}
	var once sync.Once
	c.Faulty = fsys.NewFaulty(mem, func(op fsys.Op) error {
		c.n.Store(int64(op.N))
		if op.N >= at {
			once.Do(func() { c.dead.Store(true); mem.Crash() })
			return errPower
		}
		return nil
	})
	return c
}

// story runs commands with rewrites among them until the power fails; it returns how many were acknowledged, and where the
// stream ended behind each.
func story(t *testing.T, fs fsys.FS, dir, directives string) (acked int, ends []int64) {
	t.Helper()
	return storyWith(t, fs, dir, directives, func(*bench) {})
}

// storyWith is story with something that begins with the server.
func storyWith(t *testing.T, fs fsys.FS, dir, directives string, begin func(b *bench)) (acked int, ends []int64) {
	t.Helper()
	b, _, err := appending(t, fs, dir, directives)
	if err != nil {
		return 0, []int64{0}
	}
	begin(b)
	ends = []int64{b.log.Offset()}
	apart(func() {
		for i := 1; i <= 12; i++ {
			if i == 4 || i == 9 {
				b.e.Exclusive(func() { _, _ = b.saver.RewriteAppendOnly(false) })
				b.eventually("rewrite", func() bool { return b.info("aof_rewrite_in_progress") == "0" })
			}
			if i%3 == 0 {
				b.do("MULTI")
				b.do("SET", "n", fmt.Sprint(i))
				b.do("SET", "m", fmt.Sprint(i))
				b.do("EXEC")
			} else {
				b.do("SET", "n", fmt.Sprint(i))
			}
			b.mu.Lock()
			acked, ends = i, append(ends, b.log.Offset())
			b.mu.Unlock()
		}
	})
	apart(b.saver.Close)
	b.mu.Lock()
	defer b.mu.Unlock()
	return acked, append(ends, b.log.Offset())
}

// TestAlwaysLosesNothingWhereverThePowerFails fails the power at every call on the file system. Under appendfsync always
// everything acknowledged is there afterwards, a transaction whole or not at all, and the place in the history is exact.
func TestAlwaysLosesNothingWhereverThePowerFails(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		t.Run("preamble "+preamble, func(t *testing.T) {
			dir, directives := t.TempDir(), "appendfsync always\naof-use-rdb-preamble "+preamble
			for at := 0; ; at++ {
				mem := fsys.NewMem()
				c := newCrashing(mem, at)
				acked, ends := story(t, c, dir, directives)
				if !c.dead.Load() {
					if acked != 12 || at < 40 {
						t.Fatalf("%d commands in %d calls", acked, at)
					}
					return
				}
				b, loaded, err := appending(t, mem, dir, directives)
				if err != nil {
					t.Fatalf("power failed at call %d: the next start: %v", at, err)
				}
				n := 0
				if v := b.do("GET", "n"); v != `""` && v != "nil" && v != "(nil)" {
					fmt.Sscanf(strings.Trim(v, `"`), "%d", &n)
				}
				if n < acked || n > acked+1 {
					t.Fatalf("power failed at call %d: %d acknowledged, n is %q", at, acked, b.do("GET", "n"))
				}
				if n >= 3 {
					want := fmt.Sprint(n / 3 * 3)
					if m := strings.Trim(b.do("GET", "m"), `"`); m != want {
						t.Fatalf("power failed at call %d: n is %d and m %s", at, n, m)
					}
				}
				if n > 0 && (loaded.ReplID == "" || loaded.ReplOffset < ends[min(acked, len(ends)-1)]) {
					t.Fatalf("power failed at call %d: recovered to %d of %q, acknowledged up to %v", at, loaded.ReplOffset, loaded.ReplID, ends)
				}
				b.saver.Close()
			}
		})
	}
}

// TestEverySecondKeepsWhatTheProcessWrote lets the process die, not the machine: what was acknowledged was written.
func TestEverySecondKeepsWhatTheProcessWrote(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b.fill(500)
	b.eventually("all is written", func() bool { return b.info("aof_buffer_length") == "0" }) // but for a sync under way it is already
	end := b.log.Offset()
	n, loaded, err := appending(t, mem, dir, "")
	if err != nil || n.do("DBSIZE") != b.do("DBSIZE") || loaded.ReplOffset != end || loaded.ReplID != b.log.IDs().ID {
		t.Fatalf("%v: %s keys of %s, offset %d of %d", err, n.do("DBSIZE"), b.do("DBSIZE"), loaded.ReplOffset, end)
	}
	if ids := n.log.IDs(); ids.ID2 != loaded.ReplID || ids.ID == loaded.ReplID || ids.Second != end+1 {
		t.Errorf("S9: %+v", ids)
	}
}

func TestFullDiskStopsWritesUntilThereIsRoom(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	full := fsys.NewFaulty(mem, nil)
	b, _, err := appending(t, full, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b.do("SET", "a", "1")
	full.SetSpace(5)
	b.do("SET", "b", strings.Repeat("x", 100)) // not refused, as in redis-server: the disk was not known to be full
	if got := b.do("SET", "c", "1"); !strings.Contains(got, "MISCONF Errors writing to the AOF file: No space left on device") {
		t.Fatal(got)
	}
	if got := b.do("GET", "b"); strings.Contains(got, "MISCONF") || b.info("aof_last_write_status") != "err" {
		t.Error("a read: ", got)
	}
	full.SetSpace(-1)
	b.eventually("writes go on", func() bool { return !strings.Contains(b.do("SET", "d", "1"), "MISCONF") })
	if !b.logged("AOF write error looks solved, Redis can write again.") {
		t.Error("not told")
	}
	n, _, err := appending(t, mem, dir, "aof-load-truncated no")
	if err != nil || n.do("MGET", "a", "c") != b.do("MGET", "a", "c") || n.do("STRLEN", "b") != b.do("STRLEN", "b") || n.do("GET", "d") != b.do("GET", "d") {
		t.Fatal("after the full disk:", err, n.do("MGET", "a", "b", "c", "d"))
	}
}

func TestAlwaysEndsTheProcessBeforeItAnswersWhatIsNotOnDisk(t *testing.T) {
	for _, call := range []string{"write", "sync"} {
		mem, dir := fsys.NewMem(), t.TempDir()
		var on atomic.Bool
		faulty := fsys.NewFaulty(mem, func(op fsys.Op) error {
			if on.Load() && op.Name == call {
				return syscall.EIO
			}
			return nil
		})
		b, _, err := appending(t, faulty, dir, "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		var answered, ended atomic.Bool
		b.saver.o.Fatal = func() { ended.Store(true); runtime.Goexit() }
		on.Store(true)
		apart(func() {
			b.do("SET", "a", "1")
			answered.Store(true)
		})
		if answered.Load() || !ended.Load() || !b.logged("Input/output error") {
			t.Errorf("%s failed: answered %v, ended %v", call, answered.Load(), ended.Load())
		}
	}
}

func TestDamagedFilesAreRefusedAndTornOnesCut(t *testing.T) {
	for _, c := range []struct {
		name, directive string
		break_          func(p []byte) []byte
		want            string
	}{
		{"torn", "aof-load-truncated yes", func(p []byte) []byte { return p[:len(p)-3] }, ""},
		{"torn, refused", "aof-load-truncated no", func(p []byte) []byte { return p[:len(p)-3] }, "Unexpected end of file reading the append only file"},
		{"middle", "aof-load-truncated yes", func(p []byte) []byte { p[len(p)/2] = 0; return p }, "Bad file format reading the append only file"},
		{"open transaction", "aof-load-truncated yes", func(p []byte) []byte {
			return append(p, "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nz\r\n$1\r\n1\r\n"...)
		}, ""},
		{"unknown command", "aof-load-truncated yes", func(p []byte) []byte { return append(p, "*1\r\n$3\r\nBLA\r\n"...) }, "Unknown command 'BLA' reading the append only file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, dir := fsys.NewMem(), t.TempDir()
			b, _, err := appending(t, mem, dir, "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				b.do("INCR", "n")
				_ = i
			}
			path := b.saver.aof.inc.path
			b.saver.Close()
			text, err := fsys.ReadFile(mem, path)
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(strings.TrimSuffix(string(text), "#understudy:end\r\n"))
			if err := fsys.ReplaceBytes(mem, path, c.break_(text)); err != nil {
				t.Fatal(err)
			}
			n, _, err := appending(t, mem, dir, c.directive)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			v := n.do("INCR", "n")
			n.saver.Close()
			again, _, err := appending(t, mem, dir, "aof-load-truncated no")
			if err != nil || !strings.Contains(v, strings.Trim(again.do("GET", "n"), `"`)) || again.do("EXISTS", "z") != "0" && !strings.Contains(again.do("EXISTS", "z"), "0") {
				t.Errorf("%v: n %s, then %s; z %s", err, v, again.do("GET", "n"), again.do("EXISTS", "z"))
			}
		})
	}
}

// TestTornBeforeAnEmptyIncrement: power fails while a rewrite goes on that has named its increment and, under everysec, has not written to it.
// What is torn is then the end of the file, as without a rewrite; with something behind it it is damage.
func TestTornBeforeAnEmptyIncrement(t *testing.T) {
	for _, behind := range []string{"", "*3\r\n$3\r\nSET\r\n$1\r\nz\r\n$1\r\n1\r\n"} {
		mem, dir := fsys.NewMem(), t.TempDir()
		b, _, err := appending(t, mem, dir, "")
		if err != nil {
			t.Fatal(err)
		}
		b.fill(50)
		path, d := b.saver.aof.inc.path, b.saver.aof.dir()
		b.saver.Close()
		m, err := d.Load()
		if err != nil {
			t.Fatal(err)
		}
		m = m.Clone()
		next := m.NewIncrement(d.File)
		m.Increments = append(m.Increments, next)
		text, err := fsys.ReadFile(mem, path)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.TrimSuffix(text, []byte("#understudy:end\r\n"))
		if err := errors.Join(fsys.ReplaceBytes(mem, path, text[:len(text)-3]), fsys.ReplaceBytes(mem, d.Part(next.Name), []byte(behind)), d.Store(m)); err != nil {
			t.Fatal(err)
		}
		n, _, err := appending(t, mem, dir, "aof-load-truncated yes")
		if behind != "" {
			if err == nil || !strings.Contains(err.Error(), "Unexpected end of file reading the append only file") {
				t.Errorf("with something behind: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n.do("SET", "after", "1")
		keys := n.do("DBSIZE")
		n.saver.Close()
		mem.Crash() // that it was cut has outlived what came behind it
		again, _, err := appending(t, mem, dir, "aof-load-truncated no")
		if err != nil || again.do("DBSIZE") != keys {
			t.Errorf("%v: %s keys, then %s", err, keys, again.do("DBSIZE"))
		}
	}
}

func TestRewritesWhileWritingGoesOn(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		mem, dir := fsys.NewMem(), t.TempDir()
		b, _, err := appending(t, mem, dir, "auto-aof-rewrite-percentage 0\naof-use-rdb-preamble "+preamble)
		if err != nil {
			t.Fatal(err)
		}
		b.fill(2000)
		for round := range 5 {
			b.e.Exclusive(func() {
				if _, err := b.saver.RewriteAppendOnly(false); err != nil {
					t.Error(err)
				}
			})
			for i := 0; b.info("aof_rewrite_in_progress") == "1"; i++ {
				b.do("RPUSH", fmt.Sprintf("l:%d", i%10), fmt.Sprint(round))
				b.c.DB = i % 3
			}
			b.c.DB = 0
			b.do("SET", "round", fmt.Sprint(round))
		}
		m, err := b.saver.aof.dir().Load()
		if err != nil || m.Base.Seq != 6 || len(m.Increments) != 1 || m.Increments[0].Seq != 6 || len(m.History) != 0 || m.Base.IsRDB() != (preamble == "yes") {
			t.Fatalf("%v:\n%s", err, m)
		}
		names, _ := mem.List(b.saver.aof.dir().Path)
		if len(names) != 4 || !slices.Contains(names, backlogFile) {
			t.Errorf("files: %v", names)
		}
		b.eventually("all is written", func() bool { return b.info("aof_buffer_length") == "0" })
		end := b.log.Offset()
		n, loaded, err := appending(t, mem, dir, "")
		if err != nil || loaded.ReplOffset != end {
			t.Fatalf("%v, offset %d of %d", err, loaded.ReplOffset, end)
		}
		for db := range 4 {
			b.c.DB, n.c.DB = db, db
			for _, words := range [][]string{{"DBSIZE"}, {"GET", "round"}, {"LRANGE", "l:3", "0", "-1"}, {"HGETALL", "h"}, {"PEXPIRETIME", "mortal"}} {
				if got, want := n.do(words...), b.do(words...); got != want {
					t.Errorf("preamble %s, database %d, %v: %.100s, want %.100s", preamble, db, words, got, want)
				}
			}
		}
	}
}

func TestSwitchedOnAndOffWhileItRuns(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		b.e.Exclusive(func() {
			if err := b.cfg.Set(settings.SetContext{}, settings.Pair{Name: "appendonly", Value: value}); err != nil {
				t.Fatal(err)
			}
		})
	}
	b.do("SET", "a", "1")
	set("no")
	b.do("SET", "b", "1")
	if b.info("aof_enabled") != "0" {
		t.Error("still enabled")
	}
	set("yes")
	b.eventually("the first rewrite", func() bool { return b.info("aof_rewrite_in_progress") == "0" && b.saver.aof.is(appendOn) })
	b.do("SET", "c", "1")
	n, _, err := appending(t, mem, dir, "")
	if got := n.do("EXISTS", "a", "b", "c"); err != nil || !strings.Contains(got, "3") {
		t.Fatal(err, got)
	}
}

// TestUncountedWritesEndWhatTheFileKnows: writes of a master without a backlog count for nobody, so who had all before them may not
// go on as if they were not there.
func TestUncountedWritesEndWhatTheFileKnows(t *testing.T) {
	for _, again := range []bool{false, true} {
		mem, dir := fsys.NewMem(), t.TempDir()
		b, _, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		id := b.log.IDs().ID
		b.do("SET", "a", "1")
		end := b.log.Offset()
		b.e.Exclusive(b.log.FreeBacklog)
		b.do("SET", "b", "uncounted")
		if again {
			b.e.Exclusive(func() { b.log.CreateBacklog() })
			b.do("SET", "c", "1")
		}
		n, loaded, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		if n.do("GET", "b") == "(nil)" || again != (loaded.ReplID != "") {
			t.Errorf("again %v: recovered to %d of %q", again, loaded.ReplOffset, loaded.ReplID)
		}
		if n.log.CanServe("r", id, end+1) == nil || n.log.CanServe("r", n.log.IDs().ID2, end) == nil {
			t.Errorf("again %v: a replica goes on past writes that it does not have", again)
		}
	}
}

// TestDurableFromTheFirstWrite: a member that ends right after the first write that it has acknowledged knows at its next start that
// nothing is missing.
func TestDurableFromTheFirstWrite(t *testing.T) {
	for policy, durable := range map[string]bool{"always": true, "everysec": false} {
		mem, dir := fsys.NewMem(), t.TempDir()
		b, _, err := appending(t, mem, dir, "appendfsync "+policy)
		if err != nil {
			t.Fatal(err)
		}
		b.do("SET", "a", "1")
		if _, loaded, err := appending(t, mem, dir, "appendfsync "+policy); err != nil || loaded.Durable != durable {
			t.Errorf("%s: back with %+v, %v", policy, loaded, err)
		}
	}
}

package abuse

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/understudy-db/understudy/server/servertest"
)

// incompressible fills a value that takes its size on disk.
func incompressible(t *testing.T, n int) string {
	r, b := random(t), make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// TestFileTooBig: the disk takes 64 KiB of every file and no more, then takes all again.
func TestFileTooBig(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "--save", "3600 1000000")
	limit := func(n uint64) {
		if err := unix.Prlimit(v.Pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	fullDisk(t, v, func() { limit(64 << 10) }, func() { limit(unix.RLIM_INFINITY) })
}

// TestFullDisk does the same with a file system that is really full.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("NOT RUN: mounting a small file system needs root (TestFileTooBig goes the same way without)")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	v := newVictim(t, "--save", "3600 1000000", "--dir", dir)
	ballast := filepath.Join(dir, "ballast")
	fullDisk(t, v, func() {
		_ = os.WriteFile(ballast, make([]byte, 8<<20), 0o600) // ends when the disk is full
	}, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
}

// fullDisk: saves fail with a reason, writes stop as in Redis, the old file stands; when there is space again all goes on.
func fullDisk(t *testing.T, v *victim, fill, free func()) {
	v.Must("SET", "noise", incompressible(t, 2<<20))
	v.Must("SAVE")
	v.remember()
	dir := string(v.Must("CONFIG", "GET", "dir").Elems[1].Str)
	file := filepath.Join(dir, "dump.rdb")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fill()
	if got := v.Do("SAVE"); !strings.HasPrefix(string(got.Str), "ERR saving failed, see the server's log: ") {
		t.Errorf("SAVE on a full disk is answered %s", got)
	}
	v.Must("BGSAVE")
	servertest.Await(t, "BGSAVE to fail", func() bool { return v.Info("rdb_last_bgsave_status") == "err" })
	if got := string(v.Do("SET", "key:1", "x").Str); !strings.HasPrefix(got, "MISCONF Redis is configured to save RDB snapshots") {
		t.Errorf("a write after a failed BGSAVE is answered %s", got)
	}
	v.Must("GET", "key:1")
	if !strings.Contains(v.Log(), "Error saving DB on disk, the old file stands: ") {
		t.Error("the log does not tell why")
	}
	now, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(now, old) {
		t.Errorf("the old file was touched: %d bytes, were %d, %v", len(now), len(old), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "temp-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	v.unharmed()

	free()
	v.Must("BGSAVE")
	servertest.Await(t, "BGSAVE to succeed", func() bool { return v.Info("rdb_last_bgsave_status") == "ok" })
	v.Must("SET", "key:1", "after")
	v.Must("SAVE")
	digest := v.Must("DEBUG", "DIGEST").String()
	v.Kill()
	v.Start()
	if got := v.Must("DEBUG", "DIGEST").String(); got != digest {
		t.Errorf("the file holds something else: digest %s, was %s", got, digest)
	}
}

// TestFullSyncOntoFullDisks: the disk is full where a payload goes through a file, on the master or on the replica. The sync fails with
// the reason in the log, the replica serves its old data, both go on, and with space again it succeeds.
func TestFullSyncOntoFullDisks(t *testing.T) {
	t.Parallel()
	master := newVictim(t, "--repl-diskless-sync", "no", "--rdbcompression", "no")
	replica := newVictim(t, "--maxmemory", "60mb", "--rdbcompression", "no")
	master.Must("SET", "noise", incompressible(t, 2<<20))
	for i := range 20 { // more than a third of its memory: a payload goes to a file first
		replica.Must("SET", fmt.Sprint("own:", i), incompressible(t, 1<<20))
	}
	replica.remember()
	master.remember()
	limit := func(v *victim, n uint64) {
		if err := unix.Prlimit(v.Pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	old := replica.Must("DBSIZE").Int
	served := func(what, log string, v *victim) {
		t.Helper()
		servertest.Await(t, what, func() bool { return strings.Contains(v.Log(), log) })
		if v := replica.Do("DBSIZE"); v.Int != old {
			t.Errorf("%s: DBSIZE of the replica %s, was %d", what, v, old)
		}
		if v := master.Do("INCR", "counter"); v.IsError() {
			t.Errorf("%s: a write at the master: %s", what, v)
		}
	}
	limit(master, 64<<10)
	replica.Must("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
	served("the master's disk to be full", "SYNC failed. BGSAVE failed: snapshot: writing: ", master)
	limit(replica, 64<<10)
	limit(master, unix.RLIM_INFINITY)
	served("the replica's disk to be full", "Failed trying to load the MASTER synchronization DB from disk, check server logs. write ", replica)
	limit(replica, unix.RLIM_INFINITY)
	servertest.AwaitLink(t, replica)
	servertest.MustAgree(t, master, replica)
	for _, v := range []*victim{master, replica} {
		if left, _ := filepath.Glob(filepath.Join(v.Dir(), "temp-*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

var position = regexp.MustCompile(`byte (position )?\d+|position \d+|offset \d+`)

// TestDamagedFiles: a server with a file that it cannot read ends with the file's name and the place; it never starts
// empty, and leaves the file alone.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "--rdbcompression", "no")
	v.Must("SAVE")
	whole, err := os.ReadFile(filepath.Join(v.Dir(), "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"empty": {}, "text": []byte("this is no data set\n"), "zeros": make([]byte, 4096), "no checksum": whole[:len(whole)-8],
		"a version of the future": append([]byte("REDIS9999"), whole[9:]...)}
	for _, at := range []int{1, 9, 40, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		damages[fmt.Sprint("torn at ", at)] = whole[:at]
		damages[fmt.Sprint("flipped at ", at)] = flipped(whole, at)
	}
	for name, bad := range damages {
		dir := t.TempDir()
		path := filepath.Join(dir, "dump.rdb")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := servertest.Command(t, "--port", fmt.Sprint(servertest.FreePort(t)), "--bind", "127.0.0.1", "--dir", dir)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("%s: exit code %d", name, code)
		}
		if text := string(out); !strings.Contains(text, "Fatal error loading the DB: "+path) || !position.MatchString(text) || strings.Contains(text, "panic") {
			t.Errorf("%s: the log tells no file and place:\n%s", name, text)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	v.unharmed()
}

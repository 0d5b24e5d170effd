package saving

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/fsys"
)

// forgetful is a disk whose system forgets what a failed sync was to keep, as Linux does: the next sync succeeds, and a power
// loss shows what is missing.
type forgetful struct {
	*fsys.Faulty
	mem  *fsys.Mem
	fail atomic.Int64 // so many syncs of increments fail
	base atomic.Bool  // the bases of rewrites cannot be written
}

func newForgetful() *forgetful {
	d := &forgetful{mem: fsys.NewMem()}
	d.Faulty = fsys.NewFaulty(d.mem, func(op fsys.Op) error {
		switch {
		case op.Name == "sync" && strings.HasSuffix(op.Path, ".incr.aof") && d.fail.Add(-1) >= 0:
			d.mem.Forget(op.Path)
			return syscall.EIO
		case d.base.Load() && op.Name == "write" && strings.Contains(op.Path, "temp-rewriteaof"):
			return syscall.EIO
		}
		return nil
	})
	return d
}

// TestFailedSyncIsNotForgotten: when a sync fails, writes are refused until a rewrite has put on disk what may be lost, though
// the syncs that follow succeed; then nothing acknowledged before is missing after a power loss.
func TestFailedSyncIsNotForgotten(t *testing.T) {
	disk, dir := newForgetful(), t.TempDir()
	b, _, err := appending(t, disk, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	disk.base.Store(true)
	b.do("SET", "before", "1")
	b.eventually("the first sync", func() bool { return b.e.FileSynced().Offset == b.log.Offset() })
	disk.fail.Store(1)
	b.do("SET", "lost", "1")
	end := b.log.Offset()
	b.eventually("writes are refused", func() bool {
		return strings.Contains(b.do("SET", "refused", "1"), "MISCONF Errors writing to the AOF file: Input/output error")
	})
	if !b.logged("Fail to fsync the AOF file: Input/output error") || b.info("aof_last_write_status") != "err" {
		t.Error("the failure is not told")
	}
	b.eventually("a rewrite fails", func() bool { return b.info("aof_rewrites_consecutive_failures") != "0" })
	time.Sleep(1200 * time.Millisecond) // a sync succeeds meanwhile
	if got := b.do("SET", "refused", "1"); !strings.Contains(got, "MISCONF") || b.e.FileSynced().Offset >= end {
		t.Fatalf("a later sync makes good what an earlier one lost: %s, synced up to %d of %d", got, b.e.FileSynced().Offset, end)
	}
	if err := b.saver.MakeDurable(t.Context()); err == nil {
		t.Error("said to be durable")
	}
	disk.base.Store(false)
	b.eventually("writes go on", func() bool { return !strings.Contains(b.do("SET", "after", "1"), "MISCONF") })
	b.eventually("all is synced", func() bool { return b.e.FileSynced().Offset == b.log.Offset() })
	if b.info("aof_last_write_status") != "ok" || !b.logged("AOF write error looks solved") {
		t.Error("the end is not told")
	}
	disk.mem.Crash()
	n, _, err := appending(t, disk.mem, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := n.do("EXISTS", "before", "lost", "after"); !strings.Contains(got, "3") {
		t.Fatalf("after the power loss %s of 3 keys", got)
	}
}

// TestSuspectPartIsLeft: the old part's syncs go on failing, and the new base does not need it.
func TestSuspectPartIsLeft(t *testing.T) {
	disk, dir := newForgetful(), t.TempDir()
	b, _, err := appending(t, disk, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	old := b.saver.aof.inc.path
	var dead atomic.Bool
	dead.Store(true)
	faulty := fsys.NewFaulty(disk.mem, func(op fsys.Op) error {
		if dead.Load() && op.Name == "sync" && op.Path == old {
			return syscall.EIO
		}
		return nil
	})
	b.saver.Close()
	_, _, err = appending(t, faulty, dir, "auto-aof-rewrite-percentage 0")
	if err == nil {
		t.Fatal("a start whose sync fails goes on")
	}
	dead.Store(false)
	if b, _, err = appending(t, faulty, dir, "auto-aof-rewrite-percentage 0"); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	b.do("SET", "a", "1")
	b.eventually("the rewrite", func() bool { return b.info("aof_rewrites") != "0" })
	b.eventually("writes go on", func() bool { return !strings.Contains(b.do("SET", "b", "1"), "MISCONF") })
	b.eventually("all is synced", func() bool { return b.e.FileSynced().Offset == b.log.Offset() })
	if rewrites := b.info("aof_rewrites"); rewrites != "1" {
		t.Errorf("%s rewrites", rewrites)
	}
	disk.mem.Crash()
	n, _, err := appending(t, disk.mem, dir, "")
	if err != nil || !strings.Contains(n.do("EXISTS", "a", "b"), "2") {
		t.Fatalf("after the power loss: %v, %s", err, n.do("EXISTS", "a", "b"))
	}
}

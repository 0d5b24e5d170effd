package saving

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
)

// TestCutDoesNotWaitForTheDisk: a write may block while the file is synced; a rewrite's cut, which has the engine's lock, goes on.
func TestCutDoesNotWaitForTheDisk(t *testing.T) {
	var stuckSync, stuckWrite, waits atomic.Bool
	disk := fsys.NewFaulty(fsys.NewMem(), func(op fsys.Op) error {
		for strings.HasSuffix(op.Path, ".1.incr.aof") && (op.Name == "sync" && stuckSync.Load() || op.Name == "write" && stuckWrite.Load()) {
			if op.Name == "write" {
				waits.Store(true)
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	b, _, err := appending(t, disk, t.TempDir(), "appendfsync everysec\nauto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.saver.Close()
	var work sync.WaitGroup // of what waits for the disk, too, once the sync takes long
	defer work.Wait()
	defer func() { stuckWrite.Store(false); stuckSync.Store(false) }()
	stuckSync.Store(true)
	b.eventually("a sync", func() bool { b.do("INCR", "n"); return b.saver.aof.syncing.Load() })
	stuckWrite.Store(true)
	work.Go(func() { b.do("INCR", "n") })
	b.eventually("a write beside it", waits.Load)
	work.Go(func() {
		b.e.Exclusive(func() {
			if _, err := b.saver.RewriteAppendOnly(false); err != nil {
				t.Error(err)
			}
		})
	})
	b.eventually("the cut", func() bool { return b.saver.aof.next.Load() != nil })
}

// TestFullDiskUnderAlways: what the disk did not take no replica gets, whoever found that out.
func TestFullDiskUnderAlways(t *testing.T) {
	var b *bench
	var full, given atomic.Bool
	var end int64
	disk := fsys.NewFaulty(fsys.NewMem(), func(op fsys.Op) error {
		if !full.Load() {
			return nil
		}
		if op.Name == "write" {
			return syscall.ENOSPC
		}
		if b.log.Released(end) {
			given.Store(true)
		}
		return nil
	})
	var err error
	b, _, err = appending(t, disk, t.TempDir(), "appendfsync always")
	if err != nil {
		t.Fatal(err)
	}
	b.do("SET", "a", "1")
	b.log.Append([]byte("*1\r\n$4\r\nPING\r\n"), oplog.ToAll) // and nobody has settled it yet
	end = b.log.WholePos()
	full.Store(true)
	_, _ = b.saver.aof.durable()
	if given.Load() || b.log.Released(end) {
		t.Error("replicas may have what is not on disk")
	}
	full.Store(false)
	b.saver.Close()
}

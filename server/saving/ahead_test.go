package saving

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
)

// eager reads the stream as a replica does that never sleeps, and notes up to where.
func eager(log *oplog.Log) (held func() int64) {
	_, held = eagerly(log)
	return held
}

// eagerly is eager which tells how much it has meanwhile, too.
func eagerly(log *oplog.Log) (has, held func() int64) {
	var at atomic.Int64
	end, done := make(chan struct{}), make(chan struct{})
	c, err := log.Replica(log.Offset())
	if err != nil {
		panic(err)
	}
	at.Store(log.Offset())
	go func() {
		defer close(done)
		for {
			parts, err := c.Read(nil, 1<<20)
			if errors.Is(err, oplog.ErrReset) {
				return
			}
			n := 0
			for _, p := range parts {
				n += len(p)
			}
			c.Advance(n)
			at.Add(int64(n))
			select {
			case <-end:
				return
			default:
			}
		}
	}()
	return at.Load, func() int64 { close(end); <-done; return at.Load() }
}

// TestReplicaIsNeverAheadOfADiskThatKeepsAll fails the power at every call on the file system, while a replica takes the stream
// as fast as it comes. Under appendfsync always the master comes back with all that the replica has, under another ID (S9), and
// a replica that had all of it goes on without a full sync (S8).
func TestReplicaIsNeverAheadOfADiskThatKeepsAll(t *testing.T) {
	dir, directives := t.TempDir(), "appendfsync always"
	for at := 0; ; at++ {
		mem := fsys.NewMem()
		c := newCrashing(mem, at)
		var held func() int64
		var id string
		storyWith(t, c, dir, directives, func(b *bench) { held, id = eager(b.log), b.log.IDs().ID })
		if held == nil {
			continue // no server yet
		}
		replica := held()
		if !c.dead.Load() {
			if at < 40 {
				t.Fatalf("%d calls", at)
			}
			return
		}
		b, loaded, err := appending(t, mem, dir, directives)
		if err != nil {
			t.Fatalf("power failed at call %d: %v", at, err)
		}
		switch refusal := b.log.CanServe("the replica", id, replica+1); {
		case replica == 0 && loaded.ReplID == "": // nothing was written
		case b.log.IDs().ID == id:
			t.Fatalf("power failed at call %d: S9: the history goes on", at)
		case loaded.ReplOffset < replica:
			t.Fatalf("power failed at call %d: the replica has %d, the master %d", at, replica, loaded.ReplOffset)
		case refusal != nil && replica == loaded.ReplOffset: // else it asks for what only the memory had
			t.Fatalf("power failed at call %d: a full sync: %v", at, refusal)
		}
		b.saver.Close()
	}
}

// TestReplicaAheadOfTheDiskIsRefused: under everysec a power loss may leave a replica with more than the master. It is told so
// (a full sync), whatever the master has written since: the same offset means other bytes under the new ID (S9).
func TestReplicaAheadOfTheDiskIsRefused(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "appendfsync everysec")
	if err != nil {
		t.Fatal(err)
	}
	id := b.log.IDs().ID
	b.do("SET", "a", "1")
	b.eventually("the sync", func() bool { return b.e.FileSynced().Offset == b.log.Offset() })
	kept := b.log.Offset()
	b.do("SET", "b", "the replica has it")
	ahead := b.log.Offset()
	mem.Crash()
	n, loaded, err := appending(t, mem, dir, "appendfsync everysec")
	if err != nil {
		t.Fatal(err)
	}
	if loaded.ReplID != id || loaded.ReplOffset != kept {
		t.Fatalf("recovered to %d of %s, want %d of %s", loaded.ReplOffset, loaded.ReplID, kept, id)
	}
	if n.log.CanServe("same", id, kept+1) != nil {
		t.Error("a replica that has no more needs a full sync")
	}
	for range 3 { // beyond the place, and with another one there
		if n.log.CanServe("ahead", id, ahead+1) == nil {
			t.Fatalf("a replica goes on from %d, the history ended at %d", ahead, kept)
		}
		n.do("SET", "c", "something else")
	}
	if n.log.IDs().ID == id {
		t.Error("S9: the history goes on")
	}
}

// TestReplicasGetEverythingAgain: whatever ends appendfsync always while the server runs gives replicas the whole stream.
func TestReplicasGetEverythingAgain(t *testing.T) {
	for _, c := range [][2]string{{"appendfsync", "everysec"}, {"appendonly", "no"}} {
		var stuck atomic.Bool
		mem := fsys.NewMem()
		disk := fsys.NewFaulty(mem, func(op fsys.Op) error {
			for op.Name == "sync" && stuck.Load() {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		b, _, err := appending(t, disk, t.TempDir(), "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stuck.Store(false) })
		has, held := eagerly(b.log)
		for range 200 {
			b.do("INCR", "n")
		}
		b.set(c[0], c[1])
		stuck.Store(c[0] == "appendfsync") // nothing is synced any more
		b.do("INCR", "n")
		end := b.log.Offset()
		b.eventually(fmt.Sprintf("%v: the replica has everything", c), func() bool { return has() == end })
		held()
		stuck.Store(false)
		b.saver.Close()
	}
}

// TestReplicasGetWhatWasWritten, under everysec and no, and nothing that a process would lose: not while a write is on its way into the
// file, be it a lane's or beside a sync. A disk that does not take it holds up no replica for long.
func TestReplicasGetWhatWasWritten(t *testing.T) {
	var stuckSync, stuckWrite, full atomic.Bool
	mem := fsys.NewMem()
	disk := fsys.NewFaulty(mem, func(op fsys.Op) error {
		for op.Name == "sync" && stuckSync.Load() || op.Name == "write" && stuckWrite.Load() {
			time.Sleep(time.Millisecond)
		}
		if op.Name == "write" && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	b, _, err := appending(t, disk, t.TempDir(), "appendfsync everysec")
	if err != nil {
		t.Fatal(err)
	}
	path := b.saver.aof.inc.path
	t.Cleanup(func() { stuckSync.Store(false); stuckWrite.Store(false) })
	has, held := eagerly(b.log)
	written := func(why string) {
		t.Helper()
		b.eventually(why, func() bool { return has() == b.log.Offset() })
	}
	for range 3 {
		b.do("INCR", "n")
		written("what is in the file")
		stuckWrite.Store(true)
		before := has()
		work := make(chan struct{})
		go func() { defer close(work); b.do("INCR", "n") }()
		b.eventually("the write", func() bool { return b.log.Offset() > before })
		time.Sleep(20 * time.Millisecond)
		if has() != before {
			t.Error("a replica has what the file has not")
		}
		stuckWrite.Store(false)
		<-work
		written("what was held up")
	}
	stuckSync.Store(true)
	b.eventually("a sync", func() bool { b.do("INCR", "n"); return b.saver.aof.syncing.Load() })
	for range 20 {
		b.do("INCR", "n")
		written("what is written beside a sync")
		if b.info("aof_buffer_length") != "0" && !b.saver.aof.lifted.Load() { // a busy machine may write late, too
			t.Error("a replica has what the file has not")
		}
	}
	size := func() int64 {
		n, err := mem.Size(path)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	stuckWrite.Store(true)
	before, inFile, work := b.log.Offset(), size(), make(chan struct{})
	go func() { defer close(work); b.do("INCR", "n") }() // which waits itself for the disk when the sync takes as long as here by now
	b.eventually("what a disk that is stuck does not take", func() bool { return has() > before })
	if size() != inFile {
		t.Error("it was written")
	}
	stuckWrite.Store(false)
	stuckSync.Store(false)
	<-work
	b.eventually("the end of the sync", func() bool { return b.info("aof_buffer_length") == "0" })
	full.Store(true)
	b.do("INCR", "n")
	written("what a full disk does not take")
	full.Store(false)
	b.eventually("the disk is back", func() bool { return b.info("aof_last_write_status") == "ok" })
	b.do("INCR", "n")
	written("the end")
	b.set("appendonly", "no")
	b.do("INCR", "n")
	written("what no file gets")
	held()
}

// TestWhatHasJustComeIsNotLate: replicas wait for each write while the file is synced, be it the first for long.
func TestWhatHasJustComeIsNotLate(t *testing.T) {
	var w lateWrite
	for i, c := range []struct {
		written, end int64
		late         bool
	}{
		{0, 0, false}, {10, 10, false}, {10, 10, false}, // nothing to write
		{10, 20, false}, // it has come since
		{10, 30, true}, {10, 30, true},
		{30, 40, false}, // that was written
		{40, 40, false},
		{40, 50, false}, {45, 50, false}, {45, 50, true},
	} {
		if got := w.waits(c.written, c.end); got != c.late {
			t.Errorf("step %d, %d of %d written: late %v", i, c.written, c.end, got)
		}
	}
}

// TestReplicasWaitAgainOnceADiskIsBack: replicas get what a full disk does not take. With the first write that it takes again they wait
// again, that one included.
func TestReplicasWaitAgainOnceADiskIsBack(t *testing.T) {
	var full, stuck, waits atomic.Bool
	disk := fsys.NewFaulty(fsys.NewMem(), func(op fsys.Op) error {
		if op.Name == "write" && full.Load() {
			return syscall.ENOSPC
		}
		for op.Name == "write" && stuck.Load() {
			waits.Store(true)
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	b, _, err := appending(t, disk, t.TempDir(), "appendfsync everysec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stuck.Store(false) })
	b.do("INCR", "n")
	has, held := eagerly(b.log)
	full.Store(true)
	b.do("INCR", "n")
	b.ping()
	b.eventually("what the disk does not take", func() bool { return has() == b.log.Offset() })
	stuck.Store(true)
	full.Store(false)
	b.eventually("the next attempt", waits.Load)
	before, work := has(), make(chan struct{})
	go func() { defer close(work); b.ping() }()
	b.eventually("an entry of the stream", func() bool { return b.log.Offset() > before })
	time.Sleep(20 * time.Millisecond)
	if has() != before {
		t.Error("a replica has what comes while the disk is only just back")
	}
	stuck.Store(false)
	<-work
	b.eventually("everything", func() bool { return has() == b.log.Offset() })
	held()
	b.saver.Close()
}

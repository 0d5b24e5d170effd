package saving

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/settings"
)

func (b *bench) set(name, value string) {
	b.t.Helper()
	b.e.Exclusive(func() {
		if err := b.cfg.Set(settings.SetContext{}, settings.Pair{Name: name, Value: value}); err != nil {
			b.t.Fatal(err)
		}
	})
}

func (b *bench) rewrite() {
	b.t.Helper()
	b.e.Exclusive(func() {
		if _, err := b.saver.RewriteAppendOnly(false); err != nil {
			b.t.Error(err)
		}
	})
	b.eventually("the rewrite is over", func() bool { return b.info("aof_rewrite_in_progress") == "0" })
}

func (b *bench) manifest(want ...string) {
	b.t.Helper()
	m, err := b.saver.aof.dir().Load()
	text := ""
	for _, w := range want {
		text += "file appendonly.aof." + w + "\n"
	}
	if err != nil || m.String() != text {
		b.t.Fatalf("manifest (%v):\n%swant\n%s", err, m, text)
	}
}

// TestRewritesThatFail: each leaves one more increment, the files stay whole, and automatic ones are put off.
func TestRewritesThatFail(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	var broken atomic.Bool
	faulty := fsys.NewFaulty(mem, func(op fsys.Op) error {
		if broken.Load() && op.Name == "write" && strings.Contains(op.Path, "temp-rewriteaof") {
			return errors.New("no room for the base")
		}
		return nil
	})
	b, _, err := appending(t, faulty, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	for i := range 3 {
		b.do("SET", "k", fmt.Sprint(i))
		b.rewrite()
	}
	four := []string{"1.base.rdb seq 1 type b", "1.incr.aof seq 1 type i", "2.incr.aof seq 2 type i", "3.incr.aof seq 3 type i", "4.incr.aof seq 4 type i"}
	b.manifest(four...)
	if b.info("aof_last_bgrewrite_status") != "err" || b.info("aof_rewrites_consecutive_failures") != "3" {
		t.Error("failures are not told")
	}
	b.set("auto-aof-rewrite-min-size", "100")
	b.set("auto-aof-rewrite-percentage", "1")
	b.do("SET", "big", strings.Repeat("x", 2000))
	b.eventually("the limit is told", func() bool { return b.logged("triggered the limit") })
	time.Sleep(300 * time.Millisecond)
	b.manifest(four...)
	if names, _ := mem.List(dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	n, _, err := appending(t, mem, dir, "")
	if err != nil || n.do("MGET", "k", "big") != b.do("MGET", "k", "big") {
		t.Fatal("the files of failed rewrites:", err)
	}
	n.saver.Close()
	broken.Store(false)
	b.rewrite() // an order is obeyed at once
	b.manifest("2.base.rdb seq 2 type b", "5.incr.aof seq 5 type i")
	if b.info("aof_last_bgrewrite_status") != "ok" || b.info("aof_rewrites_consecutive_failures") != "0" {
		t.Error("success is not told")
	}
}

// TestFirstRewriteThatFails: while appendonly is new the old files stand, until one rewrite succeeds.
func TestFirstRewriteThatFails(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	var broken atomic.Bool
	faulty := fsys.NewFaulty(mem, func(op fsys.Op) error {
		if broken.Load() && op.Name == "write" && strings.Contains(op.Path, "temp-rewriteaof") {
			return errors.New("no room for the base")
		}
		return nil
	})
	b, _, err := appending(t, faulty, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b.do("SET", "a", "old")
	b.set("appendonly", "no")
	b.do("SET", "a", "new")
	broken.Store(true)
	b.set("appendonly", "yes")
	b.eventually("it fails", func() bool { return b.logged("Removing the temp incr aof file") })
	b.manifest("1.base.rdb seq 1 type b", "1.incr.aof seq 1 type i")
	if err := b.saver.Leave(false); err == nil {
		t.Error("the server may end though the files do not hold the data set")
	}
	if n, _, err := appending(t, mem, dir, ""); err != nil || !strings.Contains(n.do("GET", "a"), "old") {
		t.Error("the old files do not stand:", err)
	} else {
		n.saver.Close()
	}
	broken.Store(false)
	b.eventually("it is tried again", func() bool { return b.saver.aof.is(appendOn) })
	b.manifest("2.base.rdb seq 2 type b", "2.incr.aof seq 2 type i")
	if err := b.saver.Leave(false); err != nil {
		t.Error(err)
	}
	if n, _, err := appending(t, mem, dir, ""); err != nil || !strings.Contains(n.do("GET", "a"), "new") {
		t.Error("the new files:", err)
	}
}

func TestNumbersOfParts(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	b.rewrite()
	b.rewrite()
	b.manifest("3.base.rdb seq 3 type b", "3.incr.aof seq 3 type i")
	b.set("appendonly", "no")
	b.rewrite() // of a server without a file: a base alone
	b.manifest("4.base.rdb seq 4 type b")
	b.set("appendonly", "yes")
	b.eventually("the first rewrite", func() bool { return b.saver.aof.is(appendOn) })
	b.manifest("5.base.rdb seq 5 type b", "1.incr.aof seq 1 type i")
	b.set("aof-use-rdb-preamble", "no")
	b.rewrite()
	b.manifest("6.base.aof seq 6 type b", "2.incr.aof seq 2 type i")
	n, _, err := appending(t, mem, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	n.rewrite()
	n.manifest("7.base.rdb seq 7 type b", "3.incr.aof seq 3 type i")
}

func TestHistoryIsKept(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "auto-aof-rewrite-percentage 0\naof-disable-auto-gc yes")
	if err != nil {
		t.Fatal(err)
	}
	b.rewrite()
	b.rewrite()
	b.manifest("3.base.rdb seq 3 type b", "2.incr.aof seq 2 type h", "2.base.rdb seq 2 type h", "1.incr.aof seq 1 type h", "1.base.rdb seq 1 type h", "3.incr.aof seq 3 type i")
	b.set("aof-disable-auto-gc", "no")
	b.manifest("3.base.rdb seq 3 type b", "3.incr.aof seq 3 type i")
	if names, _ := mem.List(b.saver.aof.dir().Path); len(names) != 3 {
		t.Error(names)
	}
}

// TestSavesAndRewritesWaitForEachOther, as in Redis, where each is a child process.
func TestSavesAndRewritesWaitForEachOther(t *testing.T) {
	b, _, err := appending(t, fsys.NewMem(), t.TempDir(), "rdb-key-save-delay 100000000")
	if err != nil {
		t.Fatal(err)
	}
	b.do("SET", "a", "1")
	var status string
	b.e.Exclusive(func() { _, err = b.saver.BackgroundSave(false, false) })
	b.e.Exclusive(func() { status, err = b.saver.RewriteAppendOnly(false) })
	if err != nil || status != "Background append only file rewriting scheduled" || b.info("aof_rewrite_scheduled") != "1" {
		t.Fatal(status, err)
	}
	b.set("rdb-key-save-delay", "0")
	b.eventually("the rewrite begins and ends", func() bool { return b.info("aof_rewrites") == "1" })
	b.set("rdb-key-save-delay", "100000000")
	b.e.Exclusive(func() { _, err = b.saver.RewriteAppendOnly(false) })
	if err != nil {
		t.Fatal(err)
	}
	b.e.Exclusive(func() { _, err = b.saver.RewriteAppendOnly(false) })
	if !errors.Is(err, errRewriting) {
		t.Error(err)
	}
	b.e.Exclusive(func() { _, err = b.saver.BackgroundSave(false, false) })
	if !errors.Is(err, errChild) {
		t.Error(err)
	}
	b.e.Exclusive(func() { status, err = b.saver.BackgroundSave(false, true) })
	if err != nil || status != "Background saving scheduled" {
		t.Error(status, err)
	}
	saves := b.info("rdb_saves")
	b.set("rdb-key-save-delay", "0")
	b.eventually("the save begins and ends", func() bool { return b.info("rdb_saves") != saves })
}

func TestImageIsTheFirstBaseWhereThereIsNoFile(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b := &bench{t: t, cfg: settings.New()}
	if err := b.cfg.LoadText("test", "dir "+dir); err != nil {
		t.Fatal(err)
	}
	b.start(mem)
	b.log.CreateBacklog()
	b.fill(10)
	b.do("SAVE")
	if err := b.saver.SaveNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, offset := b.log.IDs().ID, b.log.Offset()
	n, loaded, err := appending(t, mem, dir, "")
	if err != nil || n.do("DBSIZE") != b.do("DBSIZE") || loaded.ReplID != id || loaded.ReplOffset != offset {
		t.Fatal(err, n.do("DBSIZE"), loaded.ReplID, loaded.ReplOffset)
	}
	n.do("SET", "more", "1")
	again, loaded, err := appending(t, mem, dir, "")
	if err != nil || again.do("DBSIZE") != n.do("DBSIZE") || loaded.ReplID != n.log.IDs().ID {
		t.Fatal(err, again.do("DBSIZE"), loaded)
	}
}

// TestSyncsBesideRewrites: while a rewrite is under way the file is synced each second, unless no-appendfsync-on-rewrite says that the disk
// is to be left to the rewrite; then the first sync comes behind it.
func TestSyncsBesideRewrites(t *testing.T) {
	for _, spare := range []string{"no", "yes"} {
		var syncs atomic.Int64
		disk := fsys.NewFaulty(fsys.NewMem(), func(op fsys.Op) error {
			if op.Name == "sync" && strings.HasSuffix(op.Path, ".2.incr.aof") {
				syncs.Add(1)
			}
			return nil
		})
		b, _, err := appending(t, disk, t.TempDir(), "appendfsync everysec\nauto-aof-rewrite-percentage 0\nrdb-key-save-delay 100000000\nno-appendfsync-on-rewrite "+spare)
		if err != nil {
			t.Fatal(err)
		}
		b.do("SET", "a", "1")
		b.e.Exclusive(func() { _, err = b.saver.RewriteAppendOnly(false) })
		if err != nil {
			t.Fatal(err)
		}
		b.eventually("the second increment is begun", func() bool {
			names, _ := disk.List(b.saver.aof.dir().Path)
			return strings.Contains(strings.Join(names, " "), ".2.incr.aof")
		})
		write := func() { b.do("INCR", "n") }
		write()
		before := syncs.Load() // of its beginning
		if spare == "no" {
			b.eventually("a sync beside the rewrite", func() bool { write(); return syncs.Load() > before })
		} else {
			for range 25 {
				write()
				time.Sleep(100 * time.Millisecond)
			}
			if n := syncs.Load() - before; n != 0 {
				t.Errorf("%d syncs beside the rewrite", n)
			}
		}
		if b.info("aof_rewrite_in_progress") != "1" {
			t.Fatal("the rewrite is over: nothing was tested")
		}
		b.set("rdb-key-save-delay", "0")
		b.eventually("the rewrite is over", func() bool { return b.info("aof_rewrite_in_progress") == "0" })
		before = syncs.Load()
		b.eventually("a sync behind it", func() bool { write(); return syncs.Load() > before })
	}
}

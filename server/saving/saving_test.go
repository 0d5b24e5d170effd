package saving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/store"
)

// bench is an engine with a Saver and one client.
type bench struct {
	t     *testing.T
	e     *engine.Engine
	log   *oplog.Log
	cfg   *settings.Settings
	saver *Saver
	lane  *engine.Lane
	c     *engine.Client
	clock atomic.Int64 // seconds added to the wall clock
	mu    sync.Mutex
	lines []string
}

func newBench(t *testing.T, fs fsys.FS, directives string) *bench {
	t.Helper()
	b := &bench{t: t, cfg: settings.New()}
	if err := b.cfg.LoadText("test", "dir "+t.TempDir()+"\n"+directives); err != nil {
		t.Fatal(err)
	}
	b.start(fs)
	return b
}

func (b *bench) start(fs fsys.FS) {
	b.log = oplog.New(oplog.Options{BacklogSize: 1 << 20})
	table := command.NewTable()
	b.e = engine.New(engine.Options{Store: store.New(store.Options{Databases: 16, Seed: 1}), Log: b.log, Table: table})
	b.saver = New(Options{Engine: b.e, Settings: b.cfg, FS: fs, Version: "7.2.4",
		Place: func() (snapshot.Meta, bool) {
			return snapshot.Meta{ReplID: b.log.IDs().ID, ReplOffset: b.log.Offset()}, b.log.Backlog().Active
		},
		Aux: func() []snapshot.Aux { return []snapshot.Aux{{Name: "extra", Value: "word"}} },
		Now: func() time.Time { return time.Now().Add(time.Duration(b.clock.Load()) * time.Second) },
		Log: func(_ int64, text string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.lines = append(b.lines, text)
		}})
	b.lane = b.e.NewLane()
	b.c = &engine.Client{Num: 1, Proto: 2}
	b.t.Cleanup(func() { apart(b.saver.Close) })
}

// do runs a command and answers the reply as text.
func (b *bench) do(words ...string) string {
	b.t.Helper()
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	b.lane.Out.Reset()
	b.lane.Run([]engine.Item{{Client: b.c, Cmd: b.e.Table.Lookup(args[0]), Args: args}})
	v, err := resp.NewReader(strings.NewReader(string(b.lane.Out.Bytes()))).Read()
	if err != nil {
		b.t.Fatalf("%v: %v", words, err)
	}
	return v.String()
}

func (b *bench) info(field string) string {
	b.t.Helper()
	var text string
	b.e.Exclusive(func() { text = string(b.e.Info("persistence")) })
	for _, line := range strings.Split(text, "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	b.t.Fatalf("INFO persistence has no %s:\n%s", field, text)
	return ""
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("never: %s\nlog:\n%s", what, strings.Join(b.lines, "\n"))
}

func (b *bench) logged(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func (b *bench) fill(n int) {
	for i := range n {
		b.do("SET", fmt.Sprintf("key:%d", i), fmt.Sprintf("value:%d", i))
	}
	b.do("HSET", "h", "f", "v", "g", "2")
	b.c.DB = 3
	b.do("SET", "other", "db")
	b.do("SET", "mortal", "x", "PXAT", "4102444800000")
	b.c.DB = 0
}

// restarted is a new server on the same directory.
func (b *bench) restarted(fs fsys.FS) (*bench, Loaded) {
	b.t.Helper()
	n := &bench{t: b.t, cfg: settings.New()}
	if err := n.cfg.LoadText("test", "dir "+b.cfg.Dir()); err != nil {
		b.t.Fatal(err)
	}
	n.start(fs)
	loaded, err := n.saver.Load(context.Background(), false)
	if err != nil {
		b.t.Fatal(err)
	}
	return n, loaded
}

func TestSaveAndLoad(t *testing.T) {
	b := newBench(t, nil, "")
	b.e.Exclusive(func() { b.log.CreateBacklog() })
	b.fill(100)
	offset := b.log.Offset()
	if offset == 0 {
		t.Fatal("the writes did not reach the log")
	}
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b.log.Selected() != 3 {
		t.Errorf("the save changed the database of the stream to %d", b.log.Selected())
	}
	n, loaded := b.restarted(nil)
	if !loaded.Found || loaded.Keys != 103 || loaded.ReplID != b.log.IDs().ID || loaded.ReplOffset != offset || loaded.StreamDB != 0 || loaded.Aux["extra"] != "word" {
		t.Errorf("loaded %+v", loaded)
	}
	for command, want := range map[string]string{"GET key:42": `"value:42"`, "HGET h g": `"2"`, "GET nothing": "(nil)"} {
		if got := n.do(strings.Fields(command)...); got != want {
			t.Errorf("%s = %s, want %s", command, got, want)
		}
	}
	n.c.DB = 3
	if got := n.do("PEXPIRETIME", "mortal"); got != "(integer) 4102444800000" {
		t.Errorf("expiry %s", got)
	}
	if got := n.info("rdb_last_load_keys_loaded"); got != "103" {
		t.Errorf("keys loaded %s", got)
	}
	if got := n.info("rdb_changes_since_last_save"); got != "0" {
		t.Errorf("changes after the load %s", got)
	}
}

func TestFileIsLoadedByRedis(t *testing.T) {
	b := newBench(t, nil, "")
	b.fill(50)
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	redis := oracle.StartIn(t, b.cfg.Dir(), "--save", "")
	if got := redis.Must("GET", "key:7").String(); got != `"value:7"` {
		t.Errorf("redis-server read %s", got)
	}
	if got := redis.Must("DBSIZE").String(); got != "(integer) 51" {
		t.Errorf("redis-server counts %s", got)
	}
}

func TestLoadsWhatRedisSaved(t *testing.T) {
	redis := oracle.Start(t, "--save", "", "--enable-debug-command", "yes")
	redis.Must("DEBUG", "SET-ACTIVE-EXPIRE", "0") // the file shall hold a key whose time is over
	redis.Must("SET", "a", "1")
	redis.Must("HSET", "h", "f", "v")
	redis.Must("SET", "gone", "x", "PX", "1")
	redis.Must("SAVE")
	b := newBench(t, nil, "")
	if err := b.cfg.LoadText("test", "dir "+redis.Dir); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	loaded, err := b.saver.Load(context.Background(), false)
	if err != nil || loaded.Keys != 2 || loaded.Expired != 1 {
		t.Fatalf("%+v %v", loaded, err)
	}
	if got := b.do("GET", "a"); got != `"1"` {
		t.Error(got)
	}
}

func TestSavePoints(t *testing.T) {
	b := newBench(t, nil, "save 10 5")
	b.saver.Start()
	for range 4 {
		b.do("INCR", "n")
	}
	b.clock.Store(60)
	time.Sleep(300 * time.Millisecond)
	if got := b.info("rdb_saves"); got != "0" {
		t.Fatalf("4 changes saved, the point asks for 5: %s saves", got)
	}
	if got := b.info("rdb_changes_since_last_save"); got != "4" {
		t.Errorf("changes %s", got)
	}
	b.do("INCR", "n")
	b.eventually("a save after the fifth change", func() bool { return b.info("rdb_saves") == "1" })
	if !b.logged("5 changes in 10 seconds. Saving...") || b.info("rdb_changes_since_last_save") != "0" {
		t.Error("the save is not told as Redis does")
	}
	time.Sleep(300 * time.Millisecond)
	if got := b.info("rdb_saves"); got != "1" {
		t.Errorf("saved again without changes: %s", got)
	}
}

// TestFullDisk: the save fails, the old file stands, writes are refused with -MISCONF until a save
// succeeds or the directive is off.
func TestFullDisk(t *testing.T) {
	fs := fsys.NewFaulty(fsys.OS{}, nil)
	b := newBench(t, fs, "save 3600 1")
	b.fill(10)
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(b.saver.Path())
	if err != nil {
		t.Fatal(err)
	}
	fs.SetSpace(50)
	b.do("SET", "more", "data")
	b.e.Exclusive(func() {
		if _, err := b.saver.BackgroundSave(false, false); err != nil {
			t.Error(err)
		}
	})
	b.eventually("the failure", func() bool { return b.info("rdb_last_bgsave_status") == "err" })
	if got := b.do("SET", "x", "y"); !strings.Contains(got, "MISCONF") {
		t.Errorf("a write after the failure: %s", got)
	}
	if got := b.do("GET", "more"); got != `"data"` {
		t.Errorf("a read after the failure: %s", got)
	}
	after, err := os.ReadFile(b.saver.Path())
	if err != nil || string(after) != string(before) {
		t.Error("the old file was touched")
	}
	if names, _ := fs.List(b.cfg.Dir()); len(names) != 1 {
		t.Errorf("files left behind: %v", names)
	}
	if err := b.cfg.Set(settings.SetContext{}, settings.Pair{Name: "stop-writes-on-bgsave-error", Value: "no"}); err != nil {
		t.Fatal(err)
	}
	if got := b.do("SET", "x", "y"); got != "OK" {
		t.Errorf("with the directive off: %s", got)
	}
	if err := b.cfg.Set(settings.SetContext{}, settings.Pair{Name: "stop-writes-on-bgsave-error", Value: "yes"}); err != nil {
		t.Fatal(err)
	}
	fs.SetSpace(-1)
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := b.do("SET", "x", "z"); got != "OK" || b.info("rdb_last_bgsave_status") != "ok" {
		t.Errorf("after a good save: %s", got)
	}
}

// TestEveryFaultLeavesAWholeFile fails a save at each of its calls, crashes, and loads.
func TestEveryFaultLeavesAWholeFile(t *testing.T) {
	probe := fsys.NewFaulty(fsys.NewMem(), nil)
	b := newBench(t, probe, "")
	b.fill(5)
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	calls := probe.Calls()
	if calls < 6 {
		t.Fatalf("%d calls", calls)
	}
	for n := range calls {
		mem := fsys.NewMem()
		var armed atomic.Int64
		armed.Store(-1)
		fs := fsys.NewFaulty(mem, func(op fsys.Op) error {
			if at := armed.Load(); at >= 0 && int64(op.N) == at {
				return syscall.EIO
			}
			return nil
		})
		b := newBench(t, fs, "")
		b.do("SET", "generation", "old")
		if err := b.saver.SaveNow(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.do("SET", "generation", "new")
		armed.Store(int64(fs.Calls() + n))
		if err := b.saver.SaveNow(context.Background()); !errors.Is(err, syscall.EIO) {
			t.Errorf("fault %d: %v", n, err)
		}
		mem.Crash()
		r, _ := b.restarted(mem)
		if got := r.do("GET", "generation"); got != `"old"` && (n < calls-1 || got != `"new"`) {
			t.Errorf("fault %d and a crash: %s", n, got)
		}
	}
}

func TestOneSaveAtATime(t *testing.T) {
	hold := make(chan struct{})
	fs := fsys.NewFaulty(fsys.OS{}, func(op fsys.Op) error {
		if op.Name == "create" {
			<-hold
		}
		return nil
	})
	b := newBench(t, fs, "")
	b.fill(3)
	done := make(chan error, 1)
	b.e.Exclusive(func() {
		if err := b.saver.Save(func(err error) { done <- err }); err != nil {
			t.Error(err)
		}
		if _, err := b.saver.BackgroundSave(false, false); err != ErrInProgress {
			t.Errorf("a second save: %v", err)
		}
	})
	if got := b.do("SET", "while", "saving"); got != "OK" {
		t.Errorf("a write during SAVE: %s", got)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.e.Exclusive(func() {
		if status, err := b.saver.BackgroundSave(true, false); err != nil || status != "Background saving scheduled" {
			t.Errorf("%s %v", status, err)
		}
	})
	b.saver.Start()
	b.eventually("the scheduled save", func() bool { return b.info("rdb_saves") == "2" })
}

// flusher is a connection that keeps what it is delivered.
type flusher struct {
	engine.Owner
	got chan string
}

func (o flusher) Deliver(_ engine.Ticket, write func(w *resp.Writer)) {
	w := resp.NewWriter(nil)
	write(w)
	o.got <- string(w.Bytes())
}

// TestFlushallIsOnDiskWhenItIsAnswered, where there are save points; a save of what is gone ends.
func TestFlushallIsOnDiskWhenItIsAnswered(t *testing.T) {
	b := newBench(t, fsys.OS{}, "save 3600 1\nrdb-key-save-delay 60000000")
	b.fill(100)
	b.e.Exclusive(func() {
		if _, err := b.saver.BackgroundSave(false, false); err != nil {
			t.Error(err)
		}
	})
	o := flusher{got: make(chan string, 1)}
	b.c.Owner = o
	args := [][]byte{[]byte("FLUSHALL")}
	b.lane.Out.Reset()
	b.lane.Run([]engine.Item{{Client: b.c, Cmd: b.e.Table.Lookup(args[0]), Args: args}})
	if b.lane.Out.Len() != 0 {
		t.Errorf("answered at once: %q", b.lane.Out.Bytes())
	}
	if got := <-o.got; got != "+OK\r\n" {
		t.Errorf("the answer is %q", got)
	}
	if !b.logged("Saving canceled") || b.info("rdb_changes_since_last_save") != "0" {
		t.Errorf("%s changes are not saved; the old save was canceled: %v", b.info("rdb_changes_since_last_save"), b.logged("Saving canceled"))
	}
	if _, loaded := b.restarted(fsys.OS{}); !loaded.Found || loaded.Keys != 0 {
		t.Errorf("the file is there: %v, with %d keys", loaded.Found, loaded.Keys)
	}
}

func TestFlushallWithoutSavePointsOnlyEndsASave(t *testing.T) {
	b := newBench(t, fsys.OS{}, "save \"\"\nrdb-key-save-delay 60000000")
	b.fill(100)
	b.e.Exclusive(func() { _, _ = b.saver.BackgroundSave(false, false) })
	if got := b.do("FLUSHALL"); got != "OK" {
		t.Error(got)
	}
	b.eventually("the save to be canceled", func() bool { return b.logged("Saving canceled") })
	if b.info("rdb_bgsave_in_progress") != "0" || b.info("rdb_changes_since_last_save") == "0" || b.info("rdb_saves") != "0" {
		t.Error("something was saved")
	}
}

func TestReload(t *testing.T) {
	b := newBench(t, nil, "")
	b.fill(20)
	b.e.Exclusive(func() {
		if _, err := b.saver.BackgroundSave(false, false); err != nil { // must not replace the later file
			t.Error(err)
		}
	})
	b.do("SET", "later", "yes")
	b.e.Exclusive(func() {
		if err := b.saver.Reload(false, false, false); err != nil {
			t.Error(err)
		}
	})
	if got := b.do("GET", "key:3"); got != `"value:3"` {
		t.Error(got)
	}
	if got := b.do("DBSIZE"); got != "(integer) 22" {
		t.Error(got)
	}
	b.eventually("the end of the older save", func() bool { return b.info("rdb_bgsave_in_progress") == "0" })
	n, _ := b.restarted(nil)
	if got := n.do("GET", "later"); got != `"yes"` {
		t.Errorf("the older image replaced the later one: %s", got)
	}
}

// TestDamagedFileStopsTheStart: an empty data set must never stand in for a file that cannot be read (S2).
func TestDamagedFileStopsTheStart(t *testing.T) {
	b := newBench(t, nil, "")
	b.fill(20)
	if err := b.saver.SaveNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(b.saver.Path())
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)/2] ^= 0x40
	if err := os.WriteFile(b.saver.Path(), file, 0o600); err != nil {
		t.Fatal(err)
	}
	n := &bench{t: t, cfg: b.cfg}
	n.start(nil)
	if _, err := n.saver.Load(context.Background(), false); err == nil || !strings.Contains(err.Error(), "Fatal error loading the DB") {
		t.Errorf("%v", err)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	b := newBench(t, nil, "")
	for _, name := range []string{"temp-77-1.rdb", "temp-mine.rdb"} {
		if err := os.WriteFile(filepath.Join(b.cfg.Dir(), name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if loaded, err := b.saver.Load(context.Background(), false); err != nil || loaded.Found {
		t.Errorf("%+v %v", loaded, err)
	}
	names, _ := fsys.OS{}.List(b.cfg.Dir())
	if len(names) != 1 || names[0] != "temp-mine.rdb" {
		t.Errorf("left %v", names)
	}
}

// TestInfoHasTheFieldsOfRedis compares the section's names, in order.
func TestInfoHasTheFieldsOfRedis(t *testing.T) {
	redis := oracle.Start(t, "--save", "")
	b := newBench(t, nil, "")
	names := func(text string) (out []string) {
		for _, line := range strings.Split(text, "\r\n") {
			if name, _, ok := strings.Cut(line, ":"); ok {
				out = append(out, name)
			}
		}
		return out
	}
	want := names(string(redis.Must("INFO", "persistence").Str))
	var text string
	b.e.Exclusive(func() { text = string(b.e.Info("persistence")) })
	if got := names(text); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("fields\n ours  %v\n redis %v", got, want)
	}
}

// TestSaveTo: a copy elsewhere is whole and durable, and no save of the data set's own file.
func TestSaveTo(t *testing.T) {
	fs := fsys.NewFaulty(fsys.OS{}, nil)
	b := newBench(t, fs, "save \"\"\n")
	b.do("SET", "key", "value")
	aside := filepath.Join(b.cfg.Dir(), "aside.rdb")
	fs.SetSpace(10)
	if err := b.saver.SaveTo(context.Background(), aside); err == nil {
		t.Error("saved without room")
	}
	fs.SetSpace(1 << 20)
	if err := b.saver.SaveTo(context.Background(), aside); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.saver.Path()); !os.IsNotExist(err) || b.saver.Saved() {
		t.Errorf("the own file: %v, saved %v", err, b.saver.Saved())
	}
	if got := b.info("rdb_changes_since_last_save") + b.info("rdb_saves"); got != "10" {
		t.Errorf("changes and saves %q", got)
	}
	if err := os.Rename(aside, b.saver.Path()); err != nil {
		t.Fatal(err)
	}
	n, loaded := b.restarted(nil)
	if got := n.do("GET", "key"); got != `"value"` || loaded.Keys != 1 {
		t.Errorf("the copy holds %s, %d keys", got, loaded.Keys)
	}
}

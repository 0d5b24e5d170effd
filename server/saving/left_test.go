package saving

import (
	"context"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/settings"
)

// without is a bench without an append-only file that has loaded what is there.
func without(t *testing.T, fs fsys.FS, dir string) *bench {
	t.Helper()
	b := &bench{t: t, cfg: settings.New()}
	if err := b.cfg.LoadText("test", "dir "+dir+"\nsave \"\""); err != nil {
		t.Fatal(err)
	}
	b.start(fs)
	loaded, err := b.saver.Load(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	b.e.Exclusive(func() {
		if loaded.ReplID != "" {
			b.log.Restore(loaded.ReplID, loaded.ReplOffset, loaded.Tail)
		}
		b.saver.Placed()
	})
	b.saver.Start()
	return b
}

func (b *bench) save() {
	b.t.Helper()
	if err := b.saver.SaveNow(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) value(want string) {
	b.t.Helper()
	if got := strings.Trim(b.do("GET", "n"), `"`); got != want {
		b.t.Fatalf("n is %s, want %s", got, want)
	}
}

// TestWhatWasLeftNeverWins goes through appendonly yes, no and yes, with and without saves and restarts: always the newest of
// what is on disk comes back.
func TestWhatWasLeftNeverWins(t *testing.T) {
	type step func(t *testing.T, mem *fsys.Mem, dir string, b *bench) *bench
	on := func(t *testing.T, mem *fsys.Mem, dir string, b *bench) *bench { // power loss, and a start with appendonly yes
		mem.Crash()
		n, _, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	off := func(t *testing.T, mem *fsys.Mem, dir string, b *bench) *bench {
		mem.Crash()
		return without(t, mem, dir)
	}
	set := func(v string) step {
		return func(_ *testing.T, _ *fsys.Mem, _ string, b *bench) *bench { b.do("SET", "n", v); return b }
	}
	is := func(v string) step {
		return func(_ *testing.T, _ *fsys.Mem, _ string, b *bench) *bench { b.t.Helper(); b.value(v); return b }
	}
	live := func(v string) step {
		return func(_ *testing.T, _ *fsys.Mem, _ string, b *bench) *bench {
			b.set("appendonly", v)
			b.eventually("the switch", func() bool {
				return v == "no" || b.saver.aof.is(appendOn) && b.info("aof_rewrite_in_progress") == "0"
			})
			return b
		}
	}
	save := func(_ *testing.T, _ *fsys.Mem, _ string, b *bench) *bench { b.save(); return b }
	rewrite := func(_ *testing.T, _ *fsys.Mem, _ string, b *bench) *bench { b.rewrite(); return b }
	for name, steps := range map[string][]step{
		"saved since":                     {on, set("1"), live("no"), set("2"), save, on, is("2")},
		"saved since, by a later process": {on, set("1"), live("no"), save, off, set("2"), save, off, set("3"), save, on, is("3")},
		"never saved":                     {on, set("1"), live("no"), set("2"), on, is("1")},
		"saved before":                    {on, set("0"), save, set("1"), live("no"), set("2"), on, is("1")},
		"a start from the older image":    {on, set("0"), save, set("1"), live("no"), off, is("0"), set("2"), save, on, is("1")},
		"on again":                        {on, set("1"), live("no"), set("2"), save, live("yes"), set("3"), on, is("3"), set("4"), on, is("4")},
		"off and on twice":                {on, set("1"), live("no"), set("2"), save, live("yes"), set("3"), live("no"), on, is("3"), live("no"), set("4"), save, on, is("4")},
		"restarted, and written":          {on, set("1"), live("no"), set("2"), save, on, set("3"), on, is("3"), set("4"), rewrite, on, is("4")},
		"started without the file":        {on, set("1"), off, set("2"), save, on, is("1")}, // as redis-server
		"rewritten while off":             {on, set("1"), live("no"), set("2"), save, set("3"), rewrite, on, is("3")},
	} {
		t.Run(name, func(t *testing.T) {
			mem, dir := fsys.NewMem(), t.TempDir()
			var b *bench
			for _, s := range steps {
				b = s(t, mem, dir, b)
			}
		})
	}
}

// TestLeftWhereverThePowerFails switches off, writes, saves and switches on, and fails the power at every call: what a save had
// put on disk is never older after the next start with appendonly yes.
func TestLeftWhereverThePowerFails(t *testing.T) {
	dir := t.TempDir()
	for at := 0; ; at++ {
		mem := fsys.NewMem()
		c := newCrashing(mem, at)
		durable := 0 // the value that a power loss may not go behind
		if b, _, err := appending(t, c, dir, "appendfsync always"); err == nil {
			apart(func() {
				b.do("SET", "n", "1")
				durable = 1
				b.set("appendonly", "no")
				b.do("SET", "n", "2")
				if b.saver.SaveNow(context.Background()) != nil {
					return
				}
				durable = 2
				b.set("appendonly", "yes")
				b.eventually("the rewrite", func() bool { return b.saver.aof.is(appendOn) || c.dead.Load() })
				if c.dead.Load() {
					return
				}
				b.do("SET", "n", "3")
				if !c.dead.Load() {
					durable = 3
				}
			})
			apart(b.saver.Close)
		}
		if !c.dead.Load() {
			if at < 40 || durable != 3 {
				t.Fatalf("%d calls, %d", at, durable)
			}
			return
		}
		n, _, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatalf("power failed at call %d: the next start: %v", at, err)
		}
		got := 0
		for v := range 4 {
			if strings.Trim(n.do("GET", "n"), `"`) == string(rune('0'+v)) {
				got = v
			}
		}
		if got < durable {
			t.Fatalf("power failed at call %d: n is %d, %d was on disk", at, got, durable)
		}
		n.saver.Close()
	}
}

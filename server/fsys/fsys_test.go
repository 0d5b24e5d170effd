package fsys

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func put(t *testing.T, fs FS, name, text string, sync bool) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func content(fs FS, name string) string {
	b, err := ReadFile(fs, name)
	if err != nil {
		return "(" + errors.Unwrap(err).Error() + ")"
	}
	return string(b)
}

// TestSameBehaviour runs one script on the real and on the memory file system.
func TestSameBehaviour(t *testing.T) {
	for name, fs := range map[string]FS{"os": OS{}, "mem": NewMem(), "faulty": NewFaulty(NewMem(), nil), "volatile": nil} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name == "volatile" {
				fs = volatile(t, 1, dir)
			}
			a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
			if _, err := fs.Open(a); !IsNotExist(err) {
				t.Errorf("open of nothing: %v", err)
			}
			put(t, fs, a, "one", true)
			put(t, fs, a, "two", false)
			f, err := fs.OpenAppend(a)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, "three"); err != nil {
				t.Fatal(err)
			}
			part := make([]byte, 3)
			if n, err := f.ReadAt(part, 2); n != 3 || err != nil || string(part) != "oth" {
				t.Errorf("ReadAt: %d %v %q", n, err, part)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			put(t, fs, b, "old", false)
			if err := fs.Rename(a, b); err != nil {
				t.Fatal(err)
			}
			if size, err := fs.Size(b); size != 8 || err != nil {
				t.Errorf("size %d %v", size, err)
			}
			if names, err := fs.List(dir); err != nil || !slices.Equal(names, []string{"b"}) {
				t.Errorf("list %v %v", names, err)
			}
			if err := errors.Join(fs.MkdirAll(filepath.Join(dir, "x", "y")), fs.SyncDir(dir)); err != nil {
				t.Error(err)
			}
			if got := content(fs, b); got != "twothree" {
				t.Errorf("content %q", got)
			}
			if err := fs.Remove(b); err != nil {
				t.Error(err)
			}
			if err := fs.Remove(b); !IsNotExist(err) {
				t.Errorf("second remove: %v", err)
			}
			if _, err := fs.Size(b); !IsNotExist(err) {
				t.Errorf("size of nothing: %v", err)
			}
		})
	}
}

func volatile(t *testing.T, seed uint64, root string) *Volatile {
	t.Helper()
	v, err := NewVolatile(seed, filepath.Join(filepath.Dir(root), "temp"), root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVolatileLeavesWhatWasSynced: the real disk has what was synced, and of the rest what the system may have written by itself.
func TestVolatileLeavesWhatWasSynced(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(400) {
		root := filepath.Join(t.TempDir(), "root")
		sub := filepath.Join(root, "sub")
		a, b, c, d := filepath.Join(root, "a"), filepath.Join(sub, "b"), filepath.Join(sub, "c"), filepath.Join(sub, "d")
		if err := (OS{}).MkdirAll(sub); err != nil {
			t.Fatal(err)
		}
		put(t, OS{}, c, "before", false) // by what ran before
		v := volatile(t, seed, root)
		put(t, v, a, "kept", true)
		if err := v.SyncDir(root); err != nil {
			t.Fatal(err)
		}
		f, err := v.OpenAppend(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, " or not"); err != nil {
			t.Fatal(err)
		}
		put(t, v, b, "nameless", true)
		if err := errors.Join(v.Rename(c, d), v.Truncate(a, 2)); err != nil {
			t.Fatal(err)
		}
		if got := content(v, d) + content(v, a); got != "beforeke" {
			t.Fatalf("seed %d: the process itself reads %q", seed, got)
		}
		if got := content(OS{}, a); got != "kept or not"[:max(min(len(got), 11), 4)] {
			t.Fatalf("seed %d: of what was synced the disk has %q", seed, got)
		}
		if err := v.SyncDir(root); err != nil { // says nothing of sub
			t.Fatal(err)
		}
		after := volatile(t, 0, root)
		seen[content(after, a)]++
		seen[content(after, b)]++
		if got := content(after, c); got != "before" {
			t.Fatalf("seed %d: what was there is %q", seed, got)
		}
		if err := v.SyncDir(sub); err != nil {
			t.Fatal(err)
		}
		after = volatile(t, 0, root)
		if got := content(after, b) + content(after, c) + content(after, d); got != "nameless(file does not exist)before" {
			t.Fatalf("seed %d: synced to the end: %q", seed, got)
		}
	}
	for _, want := range []string{"kept", "kept or", "(file does not exist)", "nameless"} {
		if seen[want] == 0 {
			t.Errorf("the disk never had %q: %v", want, seen)
		}
	}
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	m := NewMem()
	put(t, m, "/d/synced", "kept", true)
	put(t, m, "/d/unsynced", "lost", false)
	if err := m.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	put(t, m, "/d/nameless", "lost", true)
	open, err := m.OpenAppend("/d/synced")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(open, " and more"); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	for name, want := range map[string]string{"/d/synced": "kept", "/d/unsynced": "", "/d/nameless": "(file does not exist)"} {
		if got := content(m, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := open.Write([]byte("x")); err == nil {
		t.Error("a file of before the crash still takes writes")
	}
	if err := m.Rename("/d/synced", "/d/moved"); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	if got := content(m, "/d/synced"); got != "kept" {
		t.Errorf("a renaming that was not synced: %q", got)
	}
}

// TestReplaceSurvivesEveryFault fails Replace at each of its calls, crashes after it, and wants the old
// or the new content, whole.
func TestReplaceSurvivesEveryFault(t *testing.T) {
	probe := NewFaulty(NewMem(), nil)
	if err := ReplaceBytes(probe, "/d/f", []byte("new")); err != nil {
		t.Fatal(err)
	}
	calls := probe.Calls()
	if calls < 5 {
		t.Fatalf("only %d calls", calls)
	}
	for n := range calls {
		for _, crash := range []bool{false, true} {
			m := NewMem()
			if err := ReplaceBytes(m, "/d/f", []byte("old")); err != nil {
				t.Fatal(err)
			}
			f := NewFaulty(m, func(op Op) error {
				if op.N == n {
					return syscall.EIO
				}
				return nil
			})
			if err := ReplaceBytes(f, "/d/f", []byte("new")); !errors.Is(err, syscall.EIO) {
				t.Errorf("fault %d: %v", n, err)
			}
			if crash {
				m.Crash()
			}
			if got := content(m, "/d/f"); got != "old" && got != "new" || got == "new" && n < calls-1 {
				t.Errorf("fault %d, crash %v: %q", n, crash, got)
			}
			if got := content(m, "/d/f.new"); !crash && got != "(file does not exist)" {
				t.Errorf("fault %d left a temporary file", n)
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	f := NewFaulty(NewMem(), nil)
	if err := ReplaceBytes(f, "/f", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	f.SetSpace(4)
	err := ReplaceBytes(f, "/f", []byte("abcdefgh"))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
	if got := content(f, "/f"); got != "0123456789" {
		t.Errorf("the old content is gone: %q", got)
	}
	f.SetSpace(-1)
	if err := ReplaceBytes(f, "/f", []byte("abcdefgh")); err != nil || content(f, "/f") != "abcdefgh" {
		t.Errorf("with space again: %v", err)
	}
}

func TestForgottenBytesAreReadUntilTheCrash(t *testing.T) {
	m := NewMem()
	put(t, m, "/f", "kept", true)
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenAppend("/f")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"lost", "more"} {
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
		if text == "lost" {
			m.Forget("/f")
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := content(m, "/f"); got != "keptlostmore" {
		t.Errorf("before the crash: %q", got)
	}
	m.Crash()
	if got := content(m, "/f"); got != "kept\x00\x00\x00\x00more" {
		t.Errorf("after the crash: %q", got)
	}
}

package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWithoutClusterEveryVerbSaysSo(t *testing.T) {
	d, err := New(t.TempDir(), "", &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	for name, verb := range map[string]func() error{
		"status":     func() error { return d.Status(t.Context()) },
		"kill-node":  func() error { return d.KillNode("n1") },
		"cut-node":   func() error { return d.CutNode("n1") },
		"heal-node":  func() error { return d.HealNode("n1") },
		"restart":    func() error { return d.RestartNode(t.Context(), "n1") },
		"load":       func() error { return d.Load(t.Context(), "x.tar") },
		"kubeconfig": func() error { _, err := d.Kubeconfig(); return err },
		"block":      func() error { return d.Block("10.0.0.1", "10.0.0.2") },
	} {
		if err := verb(); !errors.Is(err, ErrDown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordSurvives(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir, "", &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.save(record{Nodes: 2, Bin: "/bin", Images: []string{"a.tar"}}); err != nil {
		t.Fatal(err)
	}
	p, r, err := d.load()
	if err != nil || len(p.Nodes) != 2 || p.Bin != "/bin" || len(r.Images) != 1 || p.Dir != dir {
		t.Errorf("%+v, %+v, %v", p, r, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster.json"), []byte("{half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.load(); err == nil || !strings.Contains(err.Error(), "cluster-down") {
		t.Errorf("a damaged record: %v: it must say what to do", err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	var out bytes.Buffer
	d, err := New(filepath.Join(t.TempDir(), "c"), "", &out)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan time.Time)
	other := *d
	other.Out = &bytes.Buffer{}
	go func() {
		unlock, err := other.Lock()
		if err == nil {
			unlock()
		}
		second <- time.Now()
	}()
	time.Sleep(50 * time.Millisecond)
	released := time.Now()
	unlock()
	if at := <-second; at.Before(released) {
		t.Error("two commands held the lock at once")
	}
}

func TestMountsBelow(t *testing.T) {
	mounts := "nsfs /state/netns/cp nsfs rw 0 0\nnsfs /state-of-another/x nsfs rw 0 0\n/dev/vda / ext4 rw 0 0\n"
	if got := mountsBelow(mounts, "/state"); len(got) != 1 || got[0] != "mount /state/netns/cp" {
		t.Errorf("got %v", got)
	}
}

func TestTail(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("1\n2\n3\n4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := tail(log, 2); got != "  3\n  4" {
		t.Errorf("got %q", got)
	}
}

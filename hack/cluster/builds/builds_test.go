package builds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func module(t *testing.T, main string) Program {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module example.test/x\n\ngo 1.26\n", "main.go": main} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Program{Name: "x", Dir: dir}
}

func TestBuildOncePerContent(t *testing.T) {
	p := module(t, "package main\n\nfunc main() {}\n")
	c := Cache{Dir: t.TempDir()}
	if c.Cached(p) {
		t.Fatal("cached before it was built")
	}
	first, err := c.Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(first, "x"))
	if err != nil || !c.Cached(p) {
		t.Fatal("not cached after it was built", err)
	}
	again, err := c.Build(t.Context(), p)
	if err != nil || again != first {
		t.Fatalf("second build is in %s, not %s: %v", again, first, err)
	}
	if after, err := os.Stat(filepath.Join(first, "x")); err != nil || !os.SameFile(before, after) {
		t.Error("built twice", err)
	}
	flags := p
	flags.LDFlags = "-s"
	test := filepath.Join(p.Dir, "main_test.go")
	if err := os.WriteFile(test, []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !c.Cached(p) || c.Cached(flags) {
		t.Error("tests must not count, flags must")
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c.Cached(p) {
		t.Error("a changed program counts as built")
	}
}

func TestFailureNamesTheCause(t *testing.T) {
	p := module(t, "package main\n\nfunc main() { undefinedThing() }\n")
	c := Cache{Dir: t.TempDir()}
	_, err := c.Build(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "undefinedThing") {
		t.Fatalf("got %v", err)
	}
	if c.Cached(p) {
		t.Error("a failed build counts as built")
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Links(dir, "kube", "kubectl", "etcd"); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "kubectl")); err != nil || to != "kube" {
		t.Errorf("kubectl links to %q, %v", to, err)
	}
}

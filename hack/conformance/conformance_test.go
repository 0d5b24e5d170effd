package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const report = "\x1b[1mTesting unit/x\x1b[0m\n" +
	"[\x1b[0;32mok\x1b[0m]: first: a test (3 ms)\n" +
	"[\x1b[0;31merr\x1b[0m]: second in tests/unit/x.tcl\nExpected 'a' to equal 'b'\n" +
	"[\x1b[0;31mskip\x1b[0m]: third\n[\x1b[0;31mignore\x1b[0m]: fourth: slow\n"

func TestParse(t *testing.T) {
	o := parse("unit/x", strings.NewReader(report+"                   The End\n"))
	if o.passed != 1 || !slices.Equal(o.failed, []string{"second"}) || o.skipped != 1 || o.ignore != 1 || o.aborted != "" {
		t.Errorf("parsed %+v", o)
	}
	if o = parse("unit/x", strings.NewReader(report)); o.aborted == "" {
		t.Error("a report without its end counts as whole")
	}
	o = parse("unit/x", strings.NewReader(report+"[exception]: Executing test client: ERR unknown command 'lpush'.\n"))
	if o.aborted != "ERR unknown command 'lpush'." {
		t.Errorf("aborted %q", o.aborted)
	}
}

func TestRegressions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.txt")
	old := outcome{file: "unit/auth", passed: 3, failed: []string{"known"}}
	if err := merge(path, nil, []outcome{old}); err != nil {
		t.Fatal(err)
	}
	before, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	e, known := before["unit/auth"]
	if worse := regressions(old, e, known); len(worse) != 0 {
		t.Errorf("the same result is worse: %q", worse)
	}
	now := outcome{file: "unit/auth", failed: []string{"known", "new"}, aborted: "crash"}
	if worse := regressions(now, e, known); len(worse) != 2 {
		t.Errorf("worse: %q", worse)
	}
	if err := merge(path, before, []outcome{{file: "unit/scan", passed: 1}}); err != nil {
		t.Fatal(err)
	}
	if again, _ := readResults(path); len(again) != 2 || !slices.Equal(again["unit/auth"].failed, old.failed) {
		t.Errorf("merge lost a file: %+v", again)
	}
}

func TestSkipsNeedAReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skips")
	for text, ok := range map[string]bool{"unit/x\tname\tlists come later\n# comment\n": true, "unit/x\tname\n": false, "unit/x\tname\t \n": false} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readSkips(path); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	list, err := readSkips("skips")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.file != "*" && !slices.Contains(files, s.file) {
			t.Errorf("skips names %s, which is never run", s.file)
		}
	}
}

func TestSourceLines(t *testing.T) {
	etc := t.TempDir()
	release := filepath.Join(etc, "os-release")
	os.WriteFile(release, []byte("VERSION_CODENAME=fresh\n"), 0o644)
	os.MkdirAll(filepath.Join(etc, "sources.list.d"), 0o755)
	os.WriteFile(filepath.Join(etc, "sources.list"), []byte("deb [signed-by=/k arch=amd64] http://a.test/debian fresh main\ndeb http://other.test/x stable main\n"), 0o644)
	os.WriteFile(filepath.Join(etc, "sources.list.d", "d.sources"), []byte("Types: deb\nURIs: http://b.test/d\nSuites: fresh fresh-updates\nSigned-By: /key\n"), 0o644)
	got, err := sourceLines(etc, release)
	want := []string{"deb-src [signed-by=/k] http://a.test/debian fresh main", "deb-src [signed-by=/key] http://b.test/d fresh main", "deb-src [signed-by=/key] http://b.test/d fresh-updates main"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := sourceLines(t.TempDir(), release); err == nil {
		t.Error("a machine without archives is accepted")
	}
}

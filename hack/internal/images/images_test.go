package images

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildTwice builds a small program in two places: equal sources must give equal bytes wherever they are built.
func TestBuildTwice(t *testing.T) {
	var archives [][]byte
	var digests []string
	for range 2 {
		source := t.TempDir()
		for name, content := range map[string]string{"go.mod": "module example.test/hello\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(1) }\n"} {
			if err := os.WriteFile(filepath.Join(source, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		archive, digest, err := Build(t.Context(), source, t.TempDir(), Spec{Ref: "localhost/hello:1", Package: ".", Program: "/hello"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		archives, digests = append(archives, b), append(digests, digest)
	}
	if digests[0] != digests[1] || !bytes.Equal(archives[0], archives[1]) {
		t.Errorf("digests %v: the same source gave different images", digests)
	}
	if !bytes.Contains(archives[0], []byte(User)) {
		t.Error("the image does not name its user")
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("localhost/probe:1=./hack/e2e/probe")
	if err != nil || s.Program != "/probe" || s.Package != "./hack/e2e/probe" || s.Archive() != "probe_1.tar" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "localhost/probe:1", "=./x", "x="} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), "want REF=PACKAGE") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	seen := map[string]bool{}
	for _, p := range Product("dev") {
		if seen[p.Archive()] || !strings.HasSuffix(p.Ref, ":dev") {
			t.Errorf("archive %s, image %s", p.Archive(), p.Ref)
		}
		seen[p.Archive()] = true
	}
}

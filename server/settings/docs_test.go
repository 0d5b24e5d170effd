package settings

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
)

var rewriteDocs = flag.Bool("rewrite", false, "write the tables of docs/configuration.md anew")

const (
	docsPath  = "../../docs/configuration.md"
	docsBegin = "<!-- begin: written by go test ./server/settings -run Documentation -rewrite -->\n"
	docsEnd   = "<!-- end -->\n"
)

// TestDocumentation keeps the tables of docs/configuration.md equal to the directives.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), docsBegin)
	_, tail, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", docsPath)
	}
	want := head + docsBegin + directiveTables() + docsEnd + tail
	if *rewriteDocs {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is not up to date: go test ./server/settings -run Documentation -rewrite", docsPath)
	}
}

func directiveTables() string {
	var works, inert []string
	for _, d := range Directives() {
		if isOwn(d.Name) || d.flags&flagHidden != 0 && d.Inert == "" { // what is hidden and has an effect is for tests
			continue
		}
		name := "`" + d.Name + "`"
		if d.Alias != "" {
			name += ", `" + d.Alias + "`"
		}
		if d.Inert != "" {
			inert = append(inert, fmt.Sprintf("| %s | %s |\n", name, d.Inert))
			continue
		}
		works = append(works, fmt.Sprintf("| %s | `%s` | %s |\n", name, shownDefault(&d), changeable(&d)))
	}
	sort.Strings(works)
	sort.Strings(inert)
	return "\n### Directives with an effect\n\n| directive | default | CONFIG SET |\n|---|---|---|\n" + strings.Join(works, "") +
		"\n### Accepted without effect\n\n| directive | why it changes nothing |\n|---|---|\n" + strings.Join(inert, "") + "\n"
}

func shownDefault(d *Directive) string {
	if d.Name == "dir" {
		return "./"
	}
	if d.def == "" {
		return `""`
	}
	return d.def
}

func changeable(d *Directive) string {
	if d.validate != nil && refusesAllButDefault(d) {
		return "the default only"
	}
	switch {
	case d.Immutable():
		return "no"
	case d.flags&flagProtected != 0:
		return "with `enable-protected-configs`"
	}
	return "yes"
}

// refusesAllButDefault finds the rows made with only.
func refusesAllButDefault(d *Directive) bool {
	switch d.kind {
	case kindBool:
		return d.validate(&value{num: 1}) != nil
	case kindInt:
		return d.validate(&value{num: 1}) != nil
	case kindString:
		return d.validate(&value{text: "x"}) != nil
	}
	return false
}

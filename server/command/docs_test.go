package command

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewriteDocs = flag.Bool("rewrite", false, "write docs/commands.md anew")

const docsPath = "../../docs/commands.md"

// TestDocumentation keeps docs/commands.md equal to the table of commands.
func TestDocumentation(t *testing.T) {
	want := documentation(NewTable())
	if *rewriteDocs {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(docsPath)
	if err != nil || want != string(text) {
		t.Errorf("%s is not up to date: go test ./server/command -run Documentation -rewrite (%v)", docsPath, err)
	}
}

func documentation(table *Table) string {
	groups := map[string][]*Cmd{}
	n := 0
	for _, c := range table.All() {
		if len(c.Subs) == 0 && c.Flags&ServerOnly == 0 {
			groups[group(c)] = append(groups[group(c)], c)
			n++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\nThe server's %d commands, written from the table that dispatches them (`go test ./server/command -run Documentation -rewrite`).\n"+
		"`COMMAND DOCS` answers the same to clients, with arguments and complexity. *Since* is the version of Redis in which a command came. Every command of Redis 7.2 is here.\n\n"+
		"What 7.2 added is there: options, fields and commands. Where it answers in another way than 7.0 did, ours answers as 7.0, whose own test suite is the measure: readers whose group goes get `-UNBLOCKED` or `-NOGROUP`, "+
		"scripts may not call what blocks, a script's declared keys are tracked, `ACL LIST` and `ACL GETUSER` sum up commands as there. So is what `OBJECT ENCODING` says of small lists and sets "+
		"(see [store.md](store.md)), which every Redis 7 loads. A consumer of a group is made when it first gets something, as in 7.0, or by `XGROUP CREATECONSUMER`. "+
		"When a consumer was last active is not in files and full syncs, whose format is that of 7.0: after those it is when it was last seen.\n", n)
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "\n## %s\n\n| command | what it does | since |\n|---|---|---|\n", name)
		slices.SortFunc(groups[name], func(x, y *Cmd) int { return cmp.Compare(x.FullName, y.FullName) })
		for _, c := range groups[name] {
			what := c.Summary
			if d := c.Deprecated; d.Since != "" {
				what += fmt.Sprintf(" (deprecated since %s: use %s)", d.Since, strings.ReplaceAll(d.ReplacedBy, "|", "\\|"))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ToUpper(strings.ReplaceAll(c.FullName, "|", " ")), what, c.Since)
		}
	}
	return b.String()
}

func group(c *Cmd) string {
	if c.Group == "" && c.Parent != nil {
		return group(c.Parent)
	}
	return c.Group
}

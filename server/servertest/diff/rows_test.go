package diff

import (
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// newer rows are not in the redis-server that the tests compare with, or take more there since.
var newer = map[string]bool{"client|setinfo": true, "client|no-touch": true, "waitaof": true, "zrank": true, "zrevrank": true, "cluster|myshardid": true}

// prose is our own: summaries, complexities, histories and notes are not compared.
var prose = map[string]bool{"summary": true, "complexity": true, "history": true, "notes": true}

// TestRowsAgree compares every row's arity, flags, categories, keys and argument shape with redis-server's.
func TestRowsAgree(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	ours := NewDirect()
	for _, name := range ours.Table.Unattached() {
		ours.Table.Attach(name, func(*command.Ctx) {}) // their owners are elsewhere; the rows are here
	}
	for _, c := range ours.Table.All() {
		if newer[c.FullName] {
			continue
		}
		want, got := facts(real, c.FullName), facts(ours, c.FullName)
		if !slices.Equal(want, got) {
			t.Errorf("%s:\nredis-server: %s\nours:         %s", c.FullName, without(want, got), without(got, want))
		}
	}
}

// TestNothingIsAbsent: every command and subcommand of redis-server has a row.
func TestNothingIsAbsent(t *testing.T) {
	real := oracle.Start(t, "--save", "")
	ours := NewDirect()
	for _, v := range real.Do("COMMAND", "LIST").Elems {
		if ours.Table.LookupFull(v.Str) == nil {
			t.Errorf("%s is not there", v.Str)
		}
	}
}

// facts flattens COMMAND INFO and COMMAND DOCS of one command into comparable lines; subcommands are compared apart.
func facts(d Doer, name string) []string {
	info := d.Do("COMMAND", "INFO", name).Elems[0].Elems
	if len(info) == 0 {
		return []string{"unknown"}
	}
	var lines []string
	for i, v := range info[:9] {
		if i == 2 || i == 6 || i == 7 {
			sortElems(v.Elems, 1)
		}
		flatten(&lines, string(rune('0'+i)), v)
	}
	docs := d.Do("COMMAND", "DOCS", name).Elems
	for i := 0; i+1 < len(docs[1].Elems); i += 2 {
		if key := string(docs[1].Elems[i].Str); !prose[key] && key != "subcommands" {
			flatten(&lines, key, docs[1].Elems[i+1])
		}
	}
	return lines
}

func flatten(lines *[]string, path string, v resp.Value) {
	if len(v.Elems) == 0 {
		*lines = append(*lines, path+"="+v.String())
		return
	}
	for i := 0; i < len(v.Elems); i++ {
		if prose[string(v.Elems[i].Str)] && i+1 < len(v.Elems) {
			i++
			continue
		}
		flatten(lines, path+".", v.Elems[i])
	}
}

func without(list, other []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) }), " ")
}

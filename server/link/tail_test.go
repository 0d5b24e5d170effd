package link

import (
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

func TestLastSelect(t *testing.T) {
	set := func(v string) string { return string(resp.AppendCommandStrings(nil, "SET", "k", v)) }
	sel := func(db string) string { return string(resp.AppendCommandStrings(nil, "SELECT", db)) }
	for name, c := range map[string]struct {
		stream string
		db     int
		ok     bool
	}{
		"nothing":                        {"", 0, false},
		"no select":                      {set("v"), 0, false},
		"one":                            {sel("3") + set("v"), 3, true},
		"the last counts":                {sel("3") + set("v") + sel("5") + set("v"), 5, true},
		"begins in the midst of one":     {"x\r\n" + set("v") + sel("7") + set("v"), 7, true},
		"a value that looks like one":    {sel("2") + set(sel("9")), 2, true},
		"only a value looks like one":    {set(sel("9") + "x"), 0, false},
		"a value that ends as one would": {sel("4") + set("x"+sel("9")) + set("v"), 4, true},
	} {
		if db, ok := lastSelect([]byte(c.stream)); db != c.db || ok != c.ok {
			t.Errorf("%s: %d %v, want %d %v", name, db, ok, c.db, c.ok)
		}
	}
}

func TestCommandsEndAtTheLastWholeOne(t *testing.T) {
	whole := string(resp.AppendCommandStrings(nil, "SET", "k", "v"))
	list, end := commands([]byte(whole + whole + whole[:9]))
	if len(list) != 2 || end != 2*len(whole) || !strings.EqualFold(string(list[1][0]), "set") {
		t.Errorf("%d commands up to %d", len(list), end)
	}
}

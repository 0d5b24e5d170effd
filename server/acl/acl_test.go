package acl

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
)

var seed = flag.Uint64("seed", 0, "of random rules; 0: a new one")

func words(line string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func user(t *testing.T, sp *Space, rules ...string) *User {
	t.Helper()
	u := sp.NewUser("u")
	if err := u.ApplyAll(rules); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCheck(t *testing.T) {
	sp := &Space{Table: command.NewTable()}
	for _, c := range []struct{ rules, allowed, command, key, channel string }{
		{"+get +set ~a*", "get a1|set a x|auth x|quit", "mget a|acl list", "get b|set b x", ""},
		{"+@all %R~r %W~w", "get r|copy r w|exists w|exists r|sort r|set w x", "", "get w|set r x|set w x get|copy w r|exists x|sort r store r", ""},
		{"+publish +subscribe +psubscribe +unsubscribe &a* &p?", "publish ab x|subscribe a p1|psubscribe p?|unsubscribe z", "get a", "", "publish b x|subscribe a b|psubscribe p1"},
		{"+@all -config +config|get +client|id -client|kill", "config get x|client list", "config set a b|client kill x", "get x", "publish a b"},
		{"-@all +select|0 +config|get", "select 0|config get a", "select 1|select 00|config set a b", "", ""},
		{"+@all allkeys (-@all)", "get x|set x y", "", "", "publish a b"},
		{"+get ~a (+set ~b) (+@hash ~c)", "get a|set b x|hget c f", "mget a", "get b|set a x|hget a f", ""},
		{"+eval ~a", "eval x 0|eval x 1 a|eval x 2 a", "get a", "eval x 1 b", ""}, // the one with too few keys will be refused by the command itself
		{"+cluster|slots -migrate +restore-asking", "quit", "get a", "", ""},
	} {
		rules, _, _ := MergeSelectors(strings.Fields(c.rules))
		u := user(t, sp, rules...)
		for reason, list := range []string{c.allowed, c.command, c.key, "", c.channel} {
			for _, line := range strings.Split(list, "|") {
				if line == "" {
					continue
				}
				args := words(line)
				if d := u.Check(sp.Table.Resolve(args), args); d.Reason != Reason(reason) {
					t.Errorf("%s: %s: %q, want %q", c.rules, line, d.Reason, Reason(reason))
				}
			}
		}
	}
}

// TestTheLastUnmatchedKeyIsNamed: of several selectors' refusals the one that came farthest counts.
func TestTheLastUnmatchedKeyIsNamed(t *testing.T) {
	sp := &Space{Table: command.NewTable()}
	u := user(t, sp, "+mget", "~key", "(+mget ~key ~otherkey)")
	args := words("mget key otherkey someotherkey")
	cmd := sp.Table.Resolve(args)
	if d := u.Check(cmd, args); d.Object(cmd, args) != "someotherkey" {
		t.Errorf("%+v names %s", d, d.Object(cmd, args))
	}
}

func TestUnrestricted(t *testing.T) {
	sp := &Space{Table: command.NewTable()}
	for rules, want := range map[string]bool{"+@all ~* &*": true, "+@all ~*": false, "+@all ~* &* -get": false, "+@all &* ~* -get +get": false, "(+@all ~* &*)": true, "+@all (~* &*)": false, "+@all %RW~* &*": false} {
		merged, _, _ := MergeSelectors(strings.Fields(rules))
		if got := user(t, sp, merged...).Unrestricted(); got != want {
			t.Errorf("%s: unrestricted %v", rules, got)
		}
	}
}

// TestDescriptionsMeanTheSame: what is printed reads back to the same permissions, whatever the rules were.
func TestDescriptionsMeanTheSame(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	r := rand.New(rand.NewPCG(s, 1))
	sp := &Space{Table: command.NewTable()}
	all, cats := sp.Table.All(), command.AllCategories.Names()
	rule := func() string {
		sign := []string{"+", "-"}[r.IntN(2)]
		switch n := r.IntN(20); {
		case n < 8:
			return sign + all[r.IntN(len(all))].FullName
		case n < 14:
			return sign + "@" + cats[r.IntN(len(cats))]
		case n < 15:
			return sign + "@all"
		case n < 17:
			return "+" + []string{"get", "select", "debug"}[r.IntN(3)] + "|" + string(rune('a'+r.IntN(3)))
		case n < 18:
			return []string{"~*", "resetkeys", "&*", "resetchannels", "nopass", "resetpass", ">x", "on", "off", "reset"}[r.IntN(10)]
		}
		return []string{"~a", "%R~a", "%W~b", "&c", "&d*", "+cluster|nodes", "-module"}[r.IntN(7)]
	}
	for range 300 {
		u := sp.NewUser("u")
		for range r.IntN(12) {
			_ = u.Apply(rule()) // some are not allowed behind others
		}
		inner := sp.NewUser("u")
		for range r.IntN(4) {
			_ = inner.selectors[0].apply(rule())
		}
		u.selectors = append(u.selectors, inner.selectors[0])
		text := "user " + u.String()
		back, err := sp.ParseFile("f", text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", s, text, err)
		}
		if again := "user " + back[0].String(); again != text {
			t.Fatalf("seed %d: %s\nreads back as %s", s, text, again)
		}
		for i, sel := range u.selectors {
			if b := back[0].selectors[i]; !slices.EqualFunc(all, all, func(c, _ *command.Cmd) bool { return sel.has(c) == b.has(c) }) {
				t.Fatalf("seed %d: %s allows other commands than it was made of", s, text)
			}
		}
	}
}

func TestAnErrorChangesNothing(t *testing.T) {
	sp := &Space{Table: command.NewTable()}
	u := user(t, sp, "+get", "~a", "on", ">x")
	before := u.String()
	for _, rule := range []string{"+nosuch", "(+get +nosuch)", "%X~a", "#0", "<y", "foo"} {
		if u.Apply(rule) == nil || u.String() != before {
			t.Errorf("%s: %s", rule, u)
		}
	}
	c := u.Clone()
	if err := c.ApplyAll([]string{"+set", "~b", ">y", "+select|1", "(+@all)"}); err != nil || u.String() != before {
		t.Errorf("a change of a clone: %v, %s", err, u)
	}
}

func TestLog(t *testing.T) {
	var l Log
	at := time.Unix(1000, 0)
	add := func(object string, after time.Duration) {
		at = at.Add(after)
		l.Add(Entry{Reason: DeniedKey, Context: AtTop, Object: object, User: "u", At: at}, 3)
	}
	add("a", 0)
	add("b", time.Second)
	add("a", time.Second)
	if e := l.Latest(10); len(e) != 2 || e[0].Object != "a" || e[0].Count != 2 || e[1].Object != "b" {
		t.Errorf("the same within a minute: %+v", e)
	}
	add("a", time.Minute+time.Second)
	if e := l.Latest(10); len(e) != 3 || e[0].Count != 1 {
		t.Errorf("the same a minute later: %+v", e)
	}
	add("c", 0)
	if e := l.Latest(10); len(e) != 3 || e[0].Object != "c" {
		t.Errorf("one too many: %+v", e)
	}
	if e := l.Latest(-1); len(e) != 0 {
		t.Errorf("less than none: %+v", e)
	}
	l.Reset()
	if len(l.Latest(10)) != 0 {
		t.Error("something is left")
	}
}

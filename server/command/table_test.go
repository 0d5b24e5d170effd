package command

import (
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

func words(s string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(s) {
		args = append(args, []byte(w))
	}
	return args
}

func sample(name string) Row {
	return Row{Name: name, Arity: -2, Group: "generic", Summary: "A sample.", Since: "1.0.0"}
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

func TestWrongRowsPanicAtStart(t *testing.T) {
	both := sample("x")
	both.Flags = Write | ReadOnly
	upper := sample("Upper")
	noArity := sample("x")
	noArity.Arity = 0
	badArgs := sample("x")
	badArgs.Args = "[key"
	readWrites := sample("x")
	readWrites.Flags, readWrites.Keys = ReadOnly, []KeySpec{one(1, KeyRW)}
	for name, row := range map[string]Row{"write and readonly": both, "upper case": upper, "no arity": noArity, "arguments": badArgs,
		"readonly that writes a key": readWrites} {
		panics(t, name, func() { (&Table{byName: map[string]*Cmd{}, canonical: map[string]*Cmd{}}).Add(row) })
	}
	panics(t, "duplicate", func() { NewTable().Add(sample("dup"), sample("dup")) })
	panics(t, "second handler", func() {
		table := NewTable()
		table.Add(sample("two"))
		table.Attach("two", func(*Ctx) {})
		table.Attach("two", func(*Ctx) {})
	})
}

func TestLookup(t *testing.T) {
	table := NewTable()
	parent := sample("box")
	parent.Subs = []Row{sample("open")}
	table.Add(parent)
	args := words("BoX OPEN it")
	if c := table.Resolve(args); c == nil || c.FullName != "box|open" {
		t.Fatalf("Resolve = %v", c)
	}
	if n := testing.AllocsPerRun(100, func() { table.Resolve(args) }); n != 0 {
		t.Errorf("Resolve allocates %v times", n)
	}
	if c := table.Resolve(words("box shut")); c != nil {
		t.Errorf("unknown subcommand found: %s", c.FullName)
	}
	if got, want := table.UnknownError(words("box shut")), "unknown subcommand 'shut'. Try BOX HELP."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := table.UnknownError([][]byte{[]byte("no"), []byte("a\r\nb")}), "unknown command 'no', with args beginning with: 'a  b' "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := table.UnknownError([][]byte{[]byte(strings.Repeat("x", 200)), []byte(strings.Repeat("y", 200))}); len(got) > 330 {
		t.Errorf("an unknown command's error has %d bytes", len(got))
	}
}

func TestRenameKeepsTheCanonicalNameInEffects(t *testing.T) {
	table := NewTable()
	table.Add(sample("old"))
	if err := table.Rename("old", "New"); err != nil {
		t.Fatal(err)
	}
	if table.Lookup([]byte("old")) != nil || table.Lookup([]byte("NEW")) == nil {
		t.Fatal("the old name is still known or the new one is not")
	}
	if table.ResolveCanonical(words("OLD x")) == nil {
		t.Error("a stream's canonical name is unknown")
	}
	c := &Ctx{Out: resp.NewWriter(nil)}
	args := words("new x")
	c.Begin(table.Lookup([]byte("new")), args)
	c.Dirty(1)
	c.Finish()
	if got := c.Effects(); len(got) != 1 || string(got[0].Bytes) != "*2\r\n$3\r\nold\r\n$1\r\nx\r\n" {
		t.Errorf("effects %+v", got)
	}
	if string(args[0]) != "new" {
		t.Error("Finish changed the arguments")
	}
	if err := table.Rename("new", ""); err != nil || table.Lookup([]byte("new")) != nil {
		t.Errorf("hiding a command: %v", err)
	}
	if err := table.Rename("nosuch", "x"); err == nil {
		t.Error("renaming an unknown command was accepted")
	}
}

func TestEffectsReplaceTheCommand(t *testing.T) {
	c := &Ctx{}
	cmd := &Cmd{Row: &Row{Name: "incrbyfloat"}}
	c.Begin(cmd, words("incrbyfloat k 1"))
	c.Propagate(words("SET k 2 KEEPTTL")...)
	c.Dirty(1)
	c.Finish()
	c.Begin(cmd, words("incrbyfloat k 1"))
	c.NoPropagate()
	c.Dirty(1)
	c.Finish()
	c.Begin(cmd, words("incrbyfloat k x"))
	c.Finish() // nothing changed
	if got := c.Effects(); len(got) != 1 || string(got[0].Bytes) != "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n2\r\n$7\r\nKEEPTTL\r\n" {
		t.Errorf("effects %+v", got)
	}
	if c.Changes != 2 {
		t.Errorf("changes %d, want 2", c.Changes)
	}
	c.ResetEffects()
	if len(c.Effects()) != 0 {
		t.Error("effects survive ResetEffects")
	}
}

func TestParseArgs(t *testing.T) {
	args, err := parseArgs("key#1 value:str [condition( NX | XX @2.6.12 )] [EX/seconds:int @2.6.12] field{ f:str v:str } ... [GET/pattern:pat ...T]")
	if err != nil {
		t.Fatal(err)
	}
	if len(args) != 6 || args[0].KeySpec != 1 || args[1].Type != "string" || !args[2].Optional || args[2].Type != "oneof" ||
		args[2].Args[1].Since != "2.6.12" || args[3].Token != "EX" || args[3].Name != "seconds" || !args[4].Multiple ||
		args[4].Type != "block" || !args[5].MultipleToken || !args[5].Optional {
		t.Errorf("parsed %+v", args)
	}
	for _, bad := range []string{"[key", "key ]", "name", "a:nosuch", "[ a:str b:str ]", "key#x", "a( b:str"} {
		if _, err := parseArgs(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestFirstElement(t *testing.T) {
	table := NewTable()
	for name, want := range map[string]int{
		"hset": 2, "hget": 2, "hdel": 2, "sadd": 2, "sismember": 2, "zscore": 2, "zincrby": 3, "zadd": 3, "smove": 3,
		"get": 0, "lpush": 0, "hgetall": 0, "spop": 0, "zrange": 0, "sinter": 0, "ping": 0,
	} {
		if got := table.Lookup([]byte(name)).FirstElement(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestKeySpecs(t *testing.T) {
	for _, c := range []struct {
		spec KeySpec
		args string
		want []int
		bad  bool
	}{
		{spec: one(1, KeyRO), args: "get a", want: []int{1}},
		{spec: rest(1, 2, KeyOW), args: "mset a 1 b 2", want: []int{1, 3}},
		{spec: butLast(KeyRW), args: "blpop a b 0", want: []int{1, 2}},
		{spec: counted(2, KeyRO), args: "eval s 2 a b c", want: []int{3, 4}},
		{spec: counted(2, KeyRO), args: "eval s 5 a b c", bad: true},
		{spec: counted(2, KeyRO), args: "eval s x a", bad: true},
		{spec: after("STORE", 2, KeyOW), args: "sort a BY b store c", want: []int{5}},
		{spec: after("KEYS", -2, KeyRW), args: "migrate h p x 0 1 KEYS a", want: []int{7}},
	} {
		refs, ok := c.spec.append(nil, words(c.args))
		if ok == c.bad {
			t.Errorf("%s: ok = %v", c.args, ok)
			continue
		}
		for i, pos := range c.want {
			if len(refs) != len(c.want) || refs[i].Pos != pos {
				t.Errorf("%s: keys at %v, want %v", c.args, refs, c.want)
				break
			}
		}
	}
}

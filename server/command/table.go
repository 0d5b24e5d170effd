package command

import (
	"bytes"
	"fmt"
	"strings"
)

// maxName bounds the length of a command's name; longer words are unknown without a look at the table.
const maxName = 64

// Table finds commands by name. It is filled at start; afterwards it is read without a lock.
type Table struct {
	byName    map[string]*Cmd // as clients call them
	canonical map[string]*Cmd // as stream and file call them
	all       []*Cmd          // by Index
}

// NewTable returns a table with all rows of this package.
func NewTable() *Table {
	t := &Table{byName: map[string]*Cmd{}, canonical: map[string]*Cmd{}}
	for _, family := range families {
		t.Add(family...)
	}
	t.attachIntrospection()
	return t
}

// Add enters rows. A duplicate or a contradictory row is a programmer's error and panics.
func (t *Table) Add(rows ...Row) {
	for i := range rows {
		c := t.newCmd(&rows[i], nil)
		if _, dup := t.canonical[c.FullName]; dup {
			panic("command: duplicate row " + c.FullName)
		}
		t.canonical[c.FullName] = c
		t.byName[c.FullName] = c
	}
}

func (t *Table) newCmd(row *Row, parent *Cmd) *Cmd {
	c := &Cmd{Row: row, FullName: row.Name, Parent: parent, Handler: row.Handler, Index: len(t.all)}
	if parent != nil {
		c.FullName = parent.FullName + "|" + row.Name
	}
	if err := row.invalid(); err != "" {
		panic("command: row " + c.FullName + ": " + err)
	}
	c.Categories = row.Flags.implied(row.Categories)
	c.legacy, c.movable = foldKeys(row.Keys)
	if row.Flags&MovableKeys != 0 {
		c.movable = true
	}
	c.aloof = row.Flags&(Write|ReadOnly) != 0 || c.FullName == "ping" || c.FullName == "echo"
	c.canonicalBytes = []byte(row.Name)
	if parent != nil {
		c.canonicalBytes = []byte(parent.Name)
	}
	args, err := parseArgs(row.Args)
	if err != nil {
		panic(fmt.Sprintf("command: row %s: %v", c.FullName, err))
	}
	c.args, c.element = args, firstElement(args)
	t.all = append(t.all, c)
	for i := range row.Subs {
		sub := t.newCmd(&row.Subs[i], c)
		if c.subs == nil {
			c.subs = map[string]*Cmd{}
		}
		if c.subs[sub.Name] != nil {
			panic("command: duplicate row " + sub.FullName)
		}
		c.subs[sub.Name] = sub
		c.Subs = append(c.Subs, sub)
	}
	return c
}

// invalid names what is wrong with a row, or nothing.
func (r *Row) invalid() string {
	switch {
	case r.Name == "" || len(r.Name) > maxName || r.Name != strings.ToLower(r.Name) || strings.ContainsAny(r.Name, "| "):
		return "a name is one lower-case word"
	case r.Arity == 0:
		return "arity is missing"
	case r.Flags&Write != 0 && r.Flags&ReadOnly != 0:
		return "write and readonly exclude each other"
	case r.Group == "" || r.Summary == "" || r.Since == "":
		return "group, summary and since are part of every row"
	}
	for _, k := range r.Keys {
		if k.Flags&(KeyRW|KeyOW|KeyRM) != 0 && r.Flags&ReadOnly != 0 && r.Flags&MayReplicate == 0 {
			return "a readonly command has a key that it writes"
		}
	}
	return ""
}

// Attach gives the row of a command or subcommand ("config|get") its handler. It panics when there is no such row or it
// has a handler already: two owners of one command are a programmer's error.
func (t *Table) Attach(name string, h Handler) {
	c := t.Canonical([]byte(name))
	if c == nil {
		panic("command: no row for " + name)
	}
	if c.Handler != nil {
		panic("command: second handler for " + name)
	}
	c.Handler = h
}

// Wrap puts something around the handler that a command has: what another package must do before or after it.
func (t *Table) Wrap(name string, around func(Handler) Handler) {
	c := t.Canonical([]byte(name))
	if c == nil || c.Handler == nil {
		panic("command: no handler to wrap for " + name)
	}
	c.Handler = around(c.Handler)
}

// Lookup finds a top-level command as clients call it, in any case; nil when there is none. It does not allocate.
func (t *Table) Lookup(name []byte) *Cmd { return find(t.byName, name) }

// Canonical finds a command by its own name, renamed or not; "parent|sub" finds a subcommand.
func (t *Table) Canonical(name []byte) *Cmd {
	parent, sub, has := bytes.Cut(name, []byte{'|'})
	c := find(t.canonical, parent)
	if has && c != nil {
		return find(c.subs, sub)
	}
	return c
}

// LookupFull finds "name" or "parent|sub" as clients call it.
func (t *Table) LookupFull(name []byte) *Cmd {
	parent, sub, has := bytes.Cut(name, []byte{'|'})
	c := t.Lookup(parent)
	if has && c != nil {
		return find(c.subs, sub)
	}
	return c
}

func find(m map[string]*Cmd, name []byte) *Cmd {
	var buf [maxName]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		buf[i] = b
	}
	return m[string(buf[:len(name)])]
}

// Resolve finds the command that args call, the subcommand of a container included. It answers nil when the first word
// or the subcommand is unknown: UnknownError has the reply. It does not allocate.
func (t *Table) Resolve(args [][]byte) *Cmd { return sub(t.Lookup(args[0]), args) }

// Latest remembers the command that its owner met last.
type Latest struct {
	cmd  *Cmd // nil: none
	name [16]byte
	n    int
}

// ResolveLike is Resolve for one caller's commands, of which many are the same as the one before.
func (t *Table) ResolveLike(l *Latest, args [][]byte) *Cmd {
	if l.cmd != nil && string(args[0]) == string(l.name[:l.n]) {
		return l.cmd
	}
	c := t.Resolve(args)
	if l.cmd = nil; c != nil && c.subs == nil && c.Name == c.FullName && len(args[0]) <= len(l.name) {
		l.cmd, l.n = c, copy(l.name[:], args[0])
	}
	return c
}

// ResolveCanonical is Resolve for a stream or a file, where renamed commands keep their own names. What a peer with
// renamed commands sent under the new name is found too.
func (t *Table) ResolveCanonical(args [][]byte) *Cmd {
	if c := sub(find(t.canonical, args[0]), args); c != nil {
		return c
	}
	return t.Resolve(args)
}

func sub(c *Cmd, args [][]byte) *Cmd {
	if c == nil || c.subs == nil || len(args) < 2 {
		return c
	}
	return find(c.subs, args[1])
}

// Rename makes a top-level command known to clients by another name; an empty one hides it. Stream and file keep the
// canonical name.
func (t *Table) Rename(old, name string) error {
	c := t.Lookup([]byte(old))
	if c == nil {
		return fmt.Errorf("no such command in rename-command: %s", old)
	}
	delete(t.byName, strings.ToLower(old))
	c.Renamed = true
	if name == "" {
		return nil
	}
	name = strings.ToLower(name)
	if len(name) > maxName {
		return fmt.Errorf("the new name of %s is longer than %d characters", old, maxName)
	}
	if t.byName[name] != nil {
		return fmt.Errorf("target command name already exists: %s", name)
	}
	t.byName[name] = c
	c.Renamed = name != c.Name
	return nil
}

// All returns every command and subcommand by Index.
func (t *Table) All() []*Cmd { return t.all }

// Len is the number of top-level commands that clients can see.
func (t *Table) Len() int { return len(t.byName) }

// Unattached lists the commands that nobody has given a handler; the assembly checks that it is empty.
func (t *Table) Unattached() []string {
	var names []string
	for _, c := range t.all {
		if c.Handler == nil && len(c.Subs) == 0 {
			names = append(names, c.FullName)
		}
	}
	return names
}

// UnknownError is the error text for args that Resolve did not find, without its code ERR.
func (t *Table) UnknownError(args [][]byte) string {
	if c := t.Lookup(args[0]); c != nil && c.subs != nil && len(args) > 1 {
		return fmt.Sprintf("unknown subcommand '%s'. Try %s HELP.", clean(args[1], 128), strings.ToUpper(c.FullName))
	}
	var shown strings.Builder
	for _, a := range args[1:] {
		if shown.Len() >= 128 {
			break
		}
		fmt.Fprintf(&shown, "'%s' ", clean(a, 128-shown.Len()))
	}
	return fmt.Sprintf("unknown command '%s', with args beginning with: %s", clean(args[0], 128), shown.String())
}

// ArityError is the error text for a command called with the wrong number of arguments, without its code ERR.
func (c *Cmd) ArityError() string {
	return "wrong number of arguments for '" + c.FullName + "' command"
}

// clean cuts a word for an error reply: a line break inside would end the reply early, a zero byte ends Redis's copy.
func clean(word []byte, limit int) string {
	if i := bytes.IndexByte(word, 0); i >= 0 {
		word = word[:i]
	}
	s := string(word[:min(len(word), limit)])
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

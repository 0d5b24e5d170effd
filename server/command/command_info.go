package command

import (
	"slices"

	"github.com/understudy-db/understudy/server/resp"
)

// attachIntrospection gives COMMAND and its subcommands their handlers: they read the table itself.
func (t *Table) attachIntrospection() {
	t.Attach("command", t.commandAll)
	t.Attach("command|count", func(c *Ctx) { c.Out.Int(int64(len(t.visible()))) })
	t.Attach("command|list", t.commandList)
	t.Attach("command|info", t.commandInfo)
	t.Attach("command|docs", t.commandDocs)
	t.Attach("command|getkeys", func(c *Ctx) { t.commandGetKeys(c, false) })
	t.Attach("command|getkeysandflags", func(c *Ctx) { t.commandGetKeys(c, true) })
	t.Attach("command|help", commandHelp)
}

// visible lists the commands that clients can call, by name.
func (t *Table) visible() []*Cmd {
	list := make([]*Cmd, 0, len(t.byName))
	for _, c := range t.byName {
		if c.callable() {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Cmd) int { return a.Index - b.Index })
	return list
}

// callable tells whether somebody serves the command: a row whose owner is not linked in is not shown.
func (c *Cmd) callable() bool {
	return c.Flags&ServerOnly == 0 && (c.Handler != nil || slices.ContainsFunc(c.Subs, (*Cmd).callable))
}

func (t *Table) commandAll(c *Ctx) {
	list := t.visible()
	c.Out.Array(len(list))
	for _, cmd := range list {
		cmd.info(c.Out)
	}
}

func (t *Table) commandInfo(c *Ctx) {
	if len(c.Args) == 2 {
		t.commandAll(c)
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		if cmd := t.LookupFull(name); cmd != nil && cmd.callable() {
			cmd.info(c.Out)
		} else {
			c.Out.Null()
		}
	}
}

func simpleSet(w *resp.Writer, names []string, prefix string) {
	w.Set(len(names))
	for _, n := range names {
		w.Simple(prefix + n)
	}
}

// shownFlags are the flags as COMMAND INFO lists them.
func (c *Cmd) shownFlags() Flags {
	if c.movable {
		return c.Flags | MovableKeys
	}
	return c.Flags
}

// info appends the command's line of COMMAND INFO.
func (c *Cmd) info(w *resp.Writer) {
	w.Array(10)
	w.BulkString(c.FullName)
	w.Int(int64(c.Arity))
	simpleSet(w, c.shownFlags().Names(), "")
	w.Int(int64(c.legacy.first))
	w.Int(int64(c.legacy.last))
	w.Int(int64(c.legacy.step))
	simpleSet(w, c.Categories.Names(), "@")
	w.Set(len(c.Hints))
	for _, h := range c.Hints {
		w.BulkString(h)
	}
	w.Set(len(c.Keys))
	for i := range c.Keys {
		c.Keys[i].info(w)
	}
	subs := c.callableSubs()
	if len(subs) == 0 {
		w.Set(0)
		return
	}
	w.Array(len(subs))
	for _, s := range subs {
		s.info(w)
	}
}

func (c *Cmd) callableSubs() []*Cmd {
	return slices.DeleteFunc(slices.Clone(c.Subs), func(s *Cmd) bool { return !s.callable() })
}

func (s *KeySpec) info(w *resp.Writer) {
	w.Map(3 + int(boolInt(s.Notes != "")))
	if s.Notes != "" {
		w.BulkString("notes")
		w.BulkString(s.Notes)
	}
	w.BulkString("flags")
	simpleSet(w, s.Flags.Names(), "")
	w.BulkString("begin_search")
	switch {
	case s.Begin.Keyword != "":
		typed(w, "keyword", "keyword", s.Begin.Keyword, "startfrom", s.Begin.From)
	case s.Begin.Index > 0:
		typed(w, "index", "index", s.Begin.Index)
	default:
		typed(w, "unknown")
	}
	w.BulkString("find_keys")
	switch s.Find.Kind {
	case FindRange:
		typed(w, "range", "lastkey", s.Find.Last, "keystep", s.Find.Step, "limit", s.Find.Limit)
	case FindKeyNum:
		typed(w, "keynum", "keynumidx", s.Find.NumIndex, "firstkey", s.Find.First, "keystep", s.Find.Step)
	default:
		typed(w, "unknown")
	}
}

// typed appends {"type": kind, "spec": {name: value, ...}}.
func typed(w *resp.Writer, kind string, pairs ...any) {
	w.Map(2)
	w.BulkString("type")
	w.BulkString(kind)
	w.BulkString("spec")
	w.Map(len(pairs) / 2)
	for _, p := range pairs {
		switch p := p.(type) {
		case string:
			w.BulkString(p)
		case int:
			w.Int(int64(p))
		}
	}
}

func (t *Table) commandDocs(c *Ctx) {
	list := t.visible()
	if len(c.Args) > 2 {
		list = list[:0]
		for _, name := range c.Args[2:] {
			if cmd := t.LookupFull(name); cmd != nil && cmd.callable() {
				list = append(list, cmd)
			}
		}
	}
	c.Out.Map(len(list))
	for _, cmd := range list {
		c.Out.BulkString(cmd.FullName)
		cmd.docs(c.Out)
	}
}

// docs appends the command's entry of COMMAND DOCS.
func (c *Cmd) docs(w *resp.Writer) {
	d := beginDocs(w)
	d.text("summary", c.Summary)
	d.text("since", c.Since)
	d.text("group", c.Group)
	d.text("complexity", c.Complexity)
	var flags []string
	if c.Deprecated.Since != "" {
		flags = append(flags, "deprecated")
	}
	if c.SysCmd {
		flags = append(flags, "syscmd")
	}
	d.flags("doc_flags", flags)
	d.text("deprecated_since", c.Deprecated.Since)
	d.text("replaced_by", c.Deprecated.ReplacedBy)
	d.arguments(c.args)
	if subs := c.callableSubs(); len(subs) > 0 {
		d.field("subcommands")
		w.Map(len(subs))
		for _, s := range subs {
			w.BulkString(s.FullName)
			s.docs(w)
		}
	}
	d.end()
}

// docsWriter writes a map of COMMAND DOCS, from which empty fields are left out.
type docsWriter struct {
	w    *resp.Writer
	mark int
	n    int
}

func beginDocs(w *resp.Writer) *docsWriter { return &docsWriter{w: w, mark: w.DeferArray()} }

func (d *docsWriter) end() { d.w.SetMapLen(d.mark, d.n) }

// field begins a field; the caller writes its value.
func (d *docsWriter) field(name string) {
	d.w.BulkString(name)
	d.n++
}

func (d *docsWriter) text(name, value string) {
	if value != "" {
		d.field(name)
		d.w.BulkString(value)
	}
}

func (d *docsWriter) flags(name string, flags []string) {
	if len(flags) > 0 {
		d.field(name)
		simpleSet(d.w, flags, "")
	}
}

func (d *docsWriter) arguments(args []Arg) {
	if len(args) == 0 {
		return
	}
	d.field("arguments")
	d.w.Array(len(args))
	for i := range args {
		args[i].docs(d.w)
	}
}

func (a *Arg) docs(w *resp.Writer) {
	d := beginDocs(w)
	d.text("name", a.Name)
	d.text("type", a.Type)
	if a.KeySpec >= 0 {
		d.field("key_spec_index")
		w.Int(int64(a.KeySpec))
	}
	if d.text("token", a.Token); a.Token == "" && a.Type == "pure-token" {
		d.field("token")
		w.BulkString("")
	}
	d.text("since", a.Since)
	d.text("deprecated_since", a.Deprecated)
	var flags []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"optional", a.Optional}, {"multiple", a.Multiple}, {"multiple_token", a.MultipleToken}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	d.flags("flags", flags)
	d.arguments(a.Args)
	d.end()
}

func (t *Table) commandList(c *Ctx) {
	keep := func(*Cmd) bool { return true }
	if len(c.Args) > 2 {
		if len(c.Args) != 5 || !c.is(2, "filterby") {
			c.Out.Error(errSyntax)
			return
		}
		switch arg := c.Args[4]; {
		case c.is(3, "module"):
			keep = func(*Cmd) bool { return false }
		case c.is(3, "aclcat"):
			category, _ := CategoryByName(string(arg))
			keep = func(cmd *Cmd) bool { return cmd.Categories&category != 0 }
		case c.is(3, "pattern"):
			keep = func(cmd *Cmd) bool { return MatchFold(arg, []byte(cmd.FullName)) }
		default:
			c.Out.Error(errSyntax)
			return
		}
	}
	mark, n := c.Out.DeferArray(), 0
	var list func(cmds []*Cmd)
	list = func(cmds []*Cmd) {
		for _, cmd := range cmds {
			if keep(cmd) {
				c.Out.BulkString(cmd.FullName)
				n++
			}
			list(cmd.callableSubs())
		}
	}
	list(t.visible())
	c.Out.SetArrayLen(mark, n)
}

func (t *Table) commandGetKeys(c *Ctx, withFlags bool) {
	args := c.Args[2:]
	cmd := t.Resolve(args)
	switch {
	case cmd == nil || !cmd.callable():
		c.Out.Error("Invalid command specified")
		return
	case len(cmd.Keys) == 0 && irregularKeys[cmd.FullName] == nil:
		c.Out.Error("The command has no key arguments")
		return
	case !cmd.ArityOK(len(args)):
		c.Out.Error("Invalid number of arguments specified for command")
		return
	}
	keys, ok := cmd.KeysOf(nil, args)
	if !ok || len(keys) == 0 {
		if cmd.Flags&NoMandatoryKeys == 0 {
			c.Out.Error("Invalid arguments specified for command")
			return
		}
		keys = nil
	}
	c.Out.Array(len(keys))
	for _, k := range keys {
		if withFlags {
			c.Out.Array(2)
		}
		c.Out.Bulk(args[k.Pos])
		if withFlags {
			simpleSet(c.Out, k.Flags.Names(), "")
		}
	}
}

func commandHelp(c *Ctx) {
	c.Help("COMMAND",
		"(no subcommand)", "    Show the properties of all commands.",
		"COUNT", "    Show the number of commands.",
		"DOCS [<command-name> ...]", "    Show the documentation of the commands, or of all.",
		"GETKEYS <full-command>", "    Show the keys among the arguments of a full command.",
		"GETKEYSANDFLAGS <full-command>", "    Show the keys and what the command does with each.",
		"INFO [<command-name> ...]", "    Show the properties of the commands, or of all.",
		"LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]", "    Show the names of commands.")
}

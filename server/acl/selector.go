package acl

import (
	"slices"
	"strings"

	"github.com/understudy-db/understudy/server/command"
)

// access is what a key's pattern allows.
type access uint8

const (
	reads  access           = 1 << iota // %R~
	writes                              // %W~
	both   = reads | writes             // ~
)

type keyPattern struct {
	text  string
	allow access
}

func (p keyPattern) String() string {
	switch p.allow {
	case reads:
		return "%R~" + p.text
	case writes:
		return "%W~" + p.text
	}
	return "~" + p.text
}

// selector is one set of rules.
type selector struct {
	table *command.Table

	allKeys, allChannels bool
	// allCommands: +@all, and nothing was taken away since. future: +@all, so that commands to come are allowed too.
	allCommands, future bool

	keys      []keyPattern
	channels  []string
	allowed   []uint64         // by command.Cmd.Index
	firstArgs map[int][]string // of commands that are not allowed else
}

func newSelector(t *command.Table) *selector {
	return &selector{table: t, allowed: make([]uint64, (len(t.All())+63)/64)}
}

func (s *selector) clone() *selector {
	c := *s
	c.keys, c.channels, c.allowed = slices.Clone(s.keys), slices.Clone(s.channels), slices.Clone(s.allowed)
	c.firstArgs = nil
	for i, words := range s.firstArgs {
		c.addFirstArgs(i, words...)
	}
	return &c
}

func (s *selector) addFirstArgs(index int, words ...string) {
	if s.firstArgs == nil {
		s.firstArgs = map[int][]string{}
	}
	for _, w := range words {
		if !slices.ContainsFunc(s.firstArgs[index], func(old string) bool { return strings.EqualFold(old, w) }) {
			s.firstArgs[index] = append(s.firstArgs[index], w)
		}
	}
}

func (s *selector) has(c *command.Cmd) bool { return s.allowed[c.Index/64]&(1<<(c.Index%64)) != 0 }

func (s *selector) put(c *command.Cmd, on bool) {
	if on {
		s.allowed[c.Index/64] |= 1 << (c.Index % 64)
		return
	}
	s.allowed[c.Index/64] &^= 1 << (c.Index % 64)
	s.allCommands = false
}

// set allows or forbids a command, its subcommands included.
func (s *selector) set(c *command.Cmd, on bool) {
	s.put(c, on)
	delete(s.firstArgs, c.Index)
	for _, sub := range c.Subs {
		s.put(sub, on)
	}
}

func (s *selector) setAll(on bool) {
	s.allCommands, s.future, s.firstArgs = on, on, nil
	for i := range s.allowed {
		if s.allowed[i] = 0; on {
			s.allowed[i] = ^uint64(0)
		}
	}
}

func (s *selector) setCategory(cat command.Category, on bool) {
	for _, c := range s.table.All() {
		if c.Categories&cat != 0 {
			s.set(c, on)
		}
	}
}

// unrestricted: allows everything that there is.
func (s *selector) unrestricted() bool { return s.allCommands && s.allKeys && s.allChannels }

// apply follows one rule.
func (s *selector) apply(op string) error {
	switch strings.ToLower(op) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "allcommands", "+@all":
		s.setAll(true)
		return nil
	case "nocommands", "-@all":
		s.setAll(false)
		return nil
	case "":
		return nil
	}
	switch op[0] {
	case '~', '%':
		return s.addKeys(op)
	case '&':
		return s.addChannels(op[1:])
	case '+', '-':
		return s.applyCommand(op)
	}
	return errSyntax
}

func (s *selector) addKeys(op string) error {
	if s.allKeys {
		return errAllKeys
	}
	p := keyPattern{text: op[1:], allow: both}
	if op[0] == '%' {
		var ok bool
		if p, ok = separateAccess(op[1:]); !ok {
			return errSyntax
		}
	}
	if hasSpaces(p.text) {
		return errSyntax
	}
	if i := slices.IndexFunc(s.keys, func(k keyPattern) bool { return k.text == p.text }); i >= 0 {
		s.keys[i].allow |= p.allow
		return nil
	}
	s.keys = append(s.keys, p)
	return nil
}

// separateAccess reads what follows the percent sign of %R~pattern.
func separateAccess(s string) (p keyPattern, ok bool) {
	for i := range len(s) {
		switch c := s[i] &^ 0x20; {
		case s[i] == '~' && p.allow != 0:
			p.text = s[i+1:]
			return p, true
		case c == 'R' && p.allow&reads == 0:
			p.allow |= reads
		case c == 'W' && p.allow&writes == 0:
			p.allow |= writes
		default:
			return p, false
		}
	}
	return p, true
}

func (s *selector) addChannels(pattern string) error {
	switch {
	case s.allChannels:
		return errAllChans
	case hasSpaces(pattern):
		return errSyntax
	case !slices.Contains(s.channels, pattern):
		s.channels = append(s.channels, pattern)
	}
	return nil
}

func hasSpaces(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }

// applyCommand follows +command, -command, +command|sub, +@category and -@category.
func (s *selector) applyCommand(op string) error {
	on, name := op[0] == '+', op[1:]
	if cat, ok := strings.CutPrefix(name, "@"); ok {
		c, known := command.CategoryByName(strings.ToLower(cat))
		if !known {
			return errUnknown
		}
		s.setCategory(c, on)
		return nil
	}
	if c := s.table.Canonical([]byte(name)); c != nil {
		s.set(c, on)
		return nil
	}
	if !on {
		return errUnknown
	}
	return s.allowFirstArg(name)
}

// allowFirstArg follows +command|word where word is no subcommand: the command is allowed with that first argument.
func (s *selector) allowFirstArg(name string) error {
	cut := strings.LastIndexByte(name, '|')
	if cut < 0 {
		return errUnknown
	}
	c := s.table.Canonical([]byte(name[:cut]))
	switch {
	case c == nil:
		return errUnknown
	case c.Parent != nil:
		return errFirstArg
	case cut == len(name)-1:
		return errSyntax
	case len(c.Subs) > 0:
		return errUnknown
	}
	s.addFirstArgs(c.Index, name[cut+1:])
	return nil
}

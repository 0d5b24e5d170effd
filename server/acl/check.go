package acl

import (
	"strings"

	"github.com/understudy-db/understudy/server/command"
)

// Reason is why a user may not do something. The order is the one in which a refusal counts as nearer to a permission when
// several selectors refuse.
type Reason uint8

// Reasons.
const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedAuth
	DeniedChannel
)

var reasonNames = [...]string{"", "command", "key", "auth", "channel"}

// String is the reason as ACL LOG shows it.
func (r Reason) String() string { return reasonNames[r] }

// Denial is the answer to a check: the reason, and the argument that is meant.
type Denial struct {
	Reason Reason
	Pos    int
}

// Object is what the user may not touch, as ACL LOG shows it.
func (d Denial) Object(cmd *command.Cmd, args [][]byte) string {
	if d.Reason == DeniedCommand {
		return cmd.FullName
	}
	return string(args[d.Pos])
}

// Check tells whether the user may run a command.
func (u *User) Check(cmd *command.Cmd, args [][]byte) Denial {
	worst := Denial{Reason: DeniedCommand}
	q := query{cmd: cmd, args: args}
	for _, s := range u.selectors {
		d := s.check(&q)
		if d.Reason == Allowed {
			return d
		}
		if d.Reason > worst.Reason || d.Reason == worst.Reason && d.Pos > worst.Pos {
			worst = d
		}
	}
	return worst
}

// ReadsAll tells whether the user may run the command and read every key besides those that it names: SORT ... BY and GET
// look at keys that nobody can tell before.
func (u *User) ReadsAll(cmd *command.Cmd, args [][]byte) bool {
	q := query{cmd: cmd, args: args}
	for _, s := range u.selectors {
		if s.readsAll() && s.check(&q).Reason == Allowed {
			return true
		}
	}
	return false
}

func (s *selector) readsAll() bool {
	if s.allKeys {
		return true
	}
	for _, k := range s.keys {
		if k.text == "*" && k.allow&reads != 0 {
			return true
		}
	}
	return false
}

// query is a command that is being checked; its keys are looked for once.
type query struct {
	cmd  *command.Cmd
	args [][]byte
	keys []command.KeyRef
	done bool
}

// keyRefs finds the keys. Arguments that make no sense have none: the command will say so itself.
func (q *query) keyRefs() []command.KeyRef {
	if !q.done {
		q.done = true
		if keys, ok := q.cmd.KeysOf(nil, q.args); ok {
			q.keys = keys
		}
	}
	return q.keys
}

func (s *selector) check(q *query) Denial {
	if !s.allCommands && q.cmd.Flags&command.NoAuth == 0 && !s.has(q.cmd) && !s.firstArgOK(q) {
		return Denial{Reason: DeniedCommand}
	}
	if !s.allKeys {
		for _, k := range q.keyRefs() {
			if k.Flags&command.KeyNotKey == 0 && !s.keyOK(q.args[k.Pos], k.Flags) {
				return Denial{Reason: DeniedKey, Pos: k.Pos}
			}
		}
	}
	if !s.allChannels {
		from, to, pattern := channelArgs(q.cmd, len(q.args))
		for i := from; i < to; i++ {
			if !channelOK(s.channels, q.args[i], pattern) {
				return Denial{Reason: DeniedChannel, Pos: i}
			}
		}
	}
	return Denial{}
}

func (s *selector) firstArgOK(q *query) bool {
	if len(q.args) < 2 {
		return false
	}
	for _, arg := range s.firstArgs[q.cmd.Index] {
		if strings.EqualFold(arg, string(q.args[1])) {
			return true
		}
	}
	return false
}

// keyOK: a command that neither reads a key's value nor changes it (EXISTS) needs any access at all.
func (s *selector) keyOK(key []byte, flags command.KeyFlags) bool {
	var need access
	if flags&command.KeyAccess != 0 {
		need |= reads
	}
	if flags&(command.KeyInsert|command.KeyDelete|command.KeyUpdate) != 0 {
		need |= writes
	}
	for _, k := range s.keys {
		if k.allow&need == need && command.Match([]byte(k.text), key) {
			return true
		}
	}
	return false
}

// channelArgs tells which arguments are channels that the command publishes to or listens to.
func channelArgs(cmd *command.Cmd, argc int) (from, to int, pattern bool) {
	switch cmd.FullName {
	case "publish", "spublish":
		return 1, min(2, argc), false
	case "subscribe", "ssubscribe":
		return 1, argc, false
	case "psubscribe":
		return 1, argc, true
	}
	return 0, 0, false
}

// channelOK: a pattern is allowed where the very same pattern is.
func channelOK(allowed []string, name []byte, pattern bool) bool {
	for _, p := range allowed {
		if pattern && p == string(name) || !pattern && command.Match([]byte(p), name) {
			return true
		}
	}
	return false
}

// Listening answers a test for what a client of the user may go on to listen to, nil when that is everything.
func (u *User) Listening() func(name string, pattern bool) bool {
	var all []string
	for _, s := range u.selectors {
		if s.allChannels {
			return nil
		}
		all = append(all, s.channels...)
	}
	return func(name string, pattern bool) bool { return channelOK(all, []byte(name), pattern) }
}

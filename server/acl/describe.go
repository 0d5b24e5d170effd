package acl

import (
	"strings"

	"github.com/understudy-db/understudy/server/command"
)

// Description is a user in parts, as ACL GETUSER shows it.
type Description struct {
	Flags, Passwords []string
	Selectors        []Selector // the root selector first
}

// Selector is a set of rules in words.
type Selector struct{ Commands, Keys, Channels string }

// Describe takes a user apart.
func (u *User) Describe() Description {
	d := Description{Flags: u.flags(), Passwords: u.passwords}
	for _, s := range u.selectors {
		d.Selectors = append(d.Selectors, Selector{Commands: s.commandRules(), Keys: strings.Join(s.keyRules(), " "), Channels: strings.Join(s.channelRules(), " ")})
	}
	return d
}

func (u *User) flags() []string {
	flags := []string{"off"}
	if u.enabled {
		flags[0] = "on"
	}
	if u.noPass {
		flags = append(flags, "nopass")
	}
	switch {
	case u.skipCheck:
		flags = append(flags, "skip-sanitize-payload")
	case u.checks:
		flags = append(flags, "sanitize-payload")
	}
	return flags
}

// String is the user as a line of a file, without the word "user" before it.
func (u *User) String() string {
	words := append([]string{u.Name}, u.flags()...)
	for _, p := range u.passwords {
		words = append(words, "#"+p)
	}
	for i, s := range u.selectors {
		text := s.String()
		if i > 0 {
			text = "(" + text + ")"
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

func (s *selector) String() string {
	words := s.keyRules()
	if !s.allChannels {
		words = append(words, "resetchannels")
	}
	return strings.Join(append(append(words, s.channelRules()...), s.commandRules()), " ")
}

func (s *selector) keyRules() []string {
	if s.allKeys {
		return []string{"~*"}
	}
	var words []string
	for _, k := range s.keys {
		words = append(words, k.String())
	}
	return words
}

func (s *selector) channelRules() []string {
	if s.allChannels {
		return []string{"&*"}
	}
	var words []string
	for _, c := range s.channels {
		words = append(words, "&"+c)
	}
	return words
}

// commandRules finds rules that lead to the same allowed commands. It begins with all or nothing, takes the category that
// fits best as long as one fits better than it harms, and corrects the rest command by command.
func (s *selector) commandRules() string {
	start, sign := "-@all", "+"
	if s.future {
		start, sign = "+@all", "-"
	}
	words := []string{start}
	made, left := newSelector(s.table), s.clone()
	made.setAll(s.future)
	for used := command.Category(0); ; {
		cat, ok := left.bestCategory(s.future, used)
		if !ok {
			break
		}
		used |= cat
		words = append(words, sign+"@"+cat.Names()[0])
		made.setCategory(cat, !s.future)
		left.setCategory(cat, s.future)
	}
	for _, c := range s.table.All() {
		words = s.correct(words, made, c)
	}
	return strings.Join(words, " ")
}

// bestCategory is the one most of whose commands are not as at the start, and least others; of equals the one that has most.
func (s *selector) bestCategory(future bool, used command.Category) (best command.Category, ok bool) {
	var bestSame, bestOther int
	for cat := command.Category(1); cat <= command.AllCategories; cat <<= 1 {
		if used&cat != 0 {
			continue
		}
		same, other := 0, 0
		for _, c := range s.table.All() {
			switch {
			case c.Categories&cat == 0:
			case s.has(c) != future:
				same++
			default:
				other++
			}
		}
		if same > other && (!ok || other < bestOther || other == bestOther && same > bestSame) {
			best, ok, bestSame, bestOther = cat, true, same, other
		}
	}
	return best, ok
}

// correct adds the rules that c needs. Parents stand before their subcommands in the table.
func (s *selector) correct(words []string, made *selector, c *command.Cmd) []string {
	on := s.has(c)
	if on != made.has(c) {
		sign := "-"
		if on {
			sign = "+"
		}
		words = append(words, sign+c.FullName)
		made.set(c, on)
	}
	for _, arg := range s.firstArgs[c.Index] {
		if !on {
			words = append(words, "+"+c.FullName+"|"+arg)
		}
	}
	return words
}

package command

import (
	"fmt"
	"strconv"
	"strings"
)

// Arg is one element of a command's argument shape, as COMMAND DOCS shows it.
type Arg struct {
	Name          string
	Type          string // key, string, integer, double, pattern, unix-time, pure-token, oneof, block
	Token         string
	KeySpec       int // for a key: the index of its spec, -1 when it has none
	Since         string
	Deprecated    string
	Optional      bool
	Multiple      bool
	MultipleToken bool
	Args          []Arg
}

// parseArgs reads the notation of Row.Args, a sequence of elements:
//
//	name:type            a value; types are shortened: str int float pat time key
//	key                  short for key:key#0; "#" gives the index of the key spec
//	NX                   a word in capitals is a pure token; NX/name:token when its name is not "nx"
//	EX/name:type         a value behind a token
//	name( a | b )        one of; name{ a b } a block; both also behind a token: GET/name{ ... }
//	[ element ]          optional
//	...  ...T  @6.2.0  ~6.2.0   behind a word or a closing bracket: repeated, repeated with its token, since, deprecated since
func parseArgs(notation string) ([]Arg, error) {
	for _, sep := range []string{"[", "]", "(", ")", "{", "}"} {
		notation = strings.ReplaceAll(notation, sep, " "+sep+" ")
	}
	p := argParser{words: strings.Fields(strings.ReplaceAll(notation, "|", " "))}
	args, err := p.sequence("")
	if err == nil && p.pos <= len(p.words) && p.peek() != "" {
		err = fmt.Errorf("arguments: unexpected %q", p.peek())
	}
	return args, err
}

type argParser struct {
	words []string
	pos   int
}

func (p *argParser) peek() string {
	if p.pos < len(p.words) {
		return p.words[p.pos]
	}
	return ""
}

// sequence reads elements up to the closing word.
func (p *argParser) sequence(closing string) ([]Arg, error) {
	var args []Arg
	for p.peek() != closing {
		if p.peek() == "" {
			return nil, fmt.Errorf("arguments: missing %q", closing)
		}
		a, err := p.element()
		if err != nil {
			return nil, err
		}
		args = append(args, a)
	}
	p.pos++
	return args, nil
}

func (p *argParser) element() (Arg, error) {
	word := p.peek()
	p.pos++
	if word == "[" {
		inner, err := p.sequence("]")
		if err != nil {
			return Arg{}, err
		}
		if len(inner) != 1 {
			return Arg{}, fmt.Errorf("arguments: [ ] holds one element, found %d", len(inner))
		}
		inner[0].Optional = true
		p.suffixes(&inner[0])
		return inner[0], nil
	}
	a, err := parseWord(word)
	if err != nil {
		return a, err
	}
	switch p.peek() {
	case "(":
		err = p.group(&a, "oneof", ")")
	case "{":
		err = p.group(&a, "block", "}")
	}
	if err == nil {
		p.suffixes(&a)
	}
	if err == nil && argTypes[a.Type] == "" {
		err = fmt.Errorf("arguments: %q has no known type", word)
	}
	return a, err
}

func (p *argParser) group(a *Arg, kind, closing string) (err error) {
	p.pos++
	a.Type = kind
	a.Name = cmpOr(a.Name, strings.ToLower(a.Token))
	a.Args, err = p.sequence(closing)
	return err
}

func (p *argParser) suffixes(a *Arg) {
	for {
		w := p.peek()
		switch {
		case w == "...":
			a.Multiple = true
		case w == "...T":
			a.Multiple, a.MultipleToken = true, true
		case strings.HasPrefix(w, "@"):
			a.Since = w[1:]
		case len(w) > 1 && w[0] == '~' && w[1] >= '0' && w[1] <= '9':
			a.Deprecated = w[1:]
		default:
			return
		}
		p.pos++
	}
}

var argTypes = map[string]string{
	"str": "string", "string": "string", "int": "integer", "integer": "integer", "float": "double", "double": "double",
	"pat": "pattern", "pattern": "pattern", "time": "unix-time", "unix-time": "unix-time", "key": "key",
	"token": "pure-token", "pure-token": "pure-token", "oneof": "oneof", "block": "block",
}

func parseWord(word string) (Arg, error) {
	a := Arg{KeySpec: -1}
	token, rest, both := strings.Cut(word, "/")
	switch {
	case both:
		a.Token = token
	case isToken(token):
		a.Token, a.Name, a.Type = token, strings.ToLower(token), "pure-token"
		return a, nil
	default:
		rest = token
	}
	rest, spec, hasSpec := strings.Cut(rest, "#")
	name, kind, typed := rest, "", false
	if i := strings.LastIndexByte(rest, ':'); i >= 0 { // "ip:port:str"
		name, kind, typed = rest[:i], rest[i+1:], true
	}
	a.Name = name
	if !typed && name == "key" {
		kind = "key"
	}
	a.Type = argTypes[kind]
	if a.Type == "key" {
		a.KeySpec = 0
	}
	if hasSpec {
		n, err := strconv.Atoi(spec)
		if err != nil {
			return a, fmt.Errorf("arguments: key spec of %q: %w", word, err)
		}
		a.KeySpec = n
	}
	return a, nil
}

// isToken tells a literal word from a name.
func isToken(w string) bool {
	return w == strings.ToUpper(w) && strings.ContainsAny(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ*=~$")
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

package command

import (
	"bytes"
	"math/bits"
	"strconv"
)

// KeyFlags say what a command does with the keys of one spec.
type KeyFlags uint16

// Access kinds (exactly one of the first four) and details, in the order of COMMAND INFO.
const (
	KeyRO KeyFlags = 1 << iota // reads the value
	KeyRW                      // reads and changes the value
	KeyOW                      // overwrites the value
	KeyRM                      // removes the key
	KeyAccess
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey
	KeyIncomplete
	KeyVariableFlags
)

var keyFlagNames = [...]string{"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags"}

// Names lists the flags as COMMAND INFO shows them.
func (f KeyFlags) Names() []string {
	var names []string
	for rest := uint16(f); rest != 0; rest &= rest - 1 {
		names = append(names, keyFlagNames[bits.TrailingZeros16(rest)])
	}
	return names
}

// Begin says where the search for keys starts. The zero value is "unknown".
type Begin struct {
	Index   int    // position of the first key when Keyword is empty
	Keyword string // or: right after this word,
	From    int    // searched from this position (negative: backwards from the end)
}

// Find says how keys follow from the begin position. The zero value is "unknown".
type Find struct {
	Kind FindKind
	Last int // Range: last key relative to the begin; negative: from the end of the command
	Step int // distance of two keys
	// Limit (Range with Last -1): 2 means that the keys end halfway, 3 after a third, ...
	Limit    int
	NumIndex int // KeyNum: position of the count relative to the begin
	First    int // KeyNum: position of the first key relative to the begin
}

// FindKind tells the forms of Find apart.
type FindKind uint8

// The forms of Find.
const (
	FindUnknown FindKind = iota
	FindRange
	FindKeyNum
)

// KeySpec describes one group of key arguments.
type KeySpec struct {
	Flags KeyFlags
	Begin Begin
	Find  Find
	Notes string
}

// KeyRef is one key argument of a concrete command.
type KeyRef struct {
	Pos   int
	Flags KeyFlags
}

// one is the spec of a single key at pos.
func one(pos int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Begin: Begin{Index: pos}, Find: Find{Kind: FindRange, Step: 1}}
}

// rest is the spec of keys from pos to the last argument, step apart.
func rest(pos, step int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Begin: Begin{Index: pos}, Find: Find{Kind: FindRange, Last: -1, Step: step}}
}

// span is the spec of the key at pos and the `more` arguments behind it.
func span(pos, more int, flags KeyFlags) KeySpec {
	s := one(pos, flags)
	s.Find.Last = more
	return s
}

// butLast is the spec of keys from the first argument to the one before the last.
func butLast(flags KeyFlags) KeySpec {
	s := rest(1, 1, flags)
	s.Find.Last = -2
	return s
}

// counted is the spec of keys whose number stands at pos, the first right behind it.
func counted(pos int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Begin: Begin{Index: pos}, Find: Find{Kind: FindKeyNum, First: 1, Step: 1}}
}

// after is the spec of a single key behind a keyword.
func after(keyword string, from int, flags KeyFlags) KeySpec {
	return KeySpec{Flags: flags, Begin: Begin{Keyword: keyword, From: from}, Find: Find{Kind: FindRange, Step: 1}}
}

// begin returns the position where the spec's keys begin in args, or false when there are none.
func (s *KeySpec) begin(args [][]byte) (int, bool) {
	if s.Begin.Keyword == "" {
		return s.Begin.Index, s.Begin.Index > 0 && s.Begin.Index < len(args)
	}
	from, end, dir := s.Begin.From, len(args), 1
	if from < 0 {
		from, end, dir = len(args)+from, 0, -1
	}
	for i := from; i > 0 && i < len(args) && i != end; i += dir {
		if bytes.EqualFold(args[i], []byte(s.Begin.Keyword)) {
			return i + 1, i+1 < len(args)
		}
	}
	return 0, false
}

// append adds the spec's keys in args to dst. It answers false when args do not fit the spec.
func (s *KeySpec) append(dst []KeyRef, args [][]byte) ([]KeyRef, bool) {
	first, ok := s.begin(args)
	if !ok {
		return dst, true
	}
	var last int
	step := max(s.Find.Step, 1)
	switch s.Find.Kind {
	case FindRange:
		last = s.rangeEnd(first, len(args))
	case FindKeyNum:
		at := first + s.Find.NumIndex
		if at >= len(args) {
			return dst, false
		}
		n, err := strconv.Atoi(string(args[at]))
		if err != nil || n < 0 {
			return dst, false
		}
		first += s.Find.First
		last = first + (n-1)*step
	default:
		return dst, false
	}
	if last >= len(args) || last < first && s.Find.Kind == FindRange {
		return dst, false
	}
	for pos := first; pos <= last; pos += step {
		dst = append(dst, KeyRef{Pos: pos, Flags: s.Flags})
	}
	return dst, true
}

func (s *KeySpec) rangeEnd(first, argc int) int {
	switch {
	case s.Find.Last >= 0:
		return first + s.Find.Last
	case s.Find.Limit <= 1:
		return argc + s.Find.Last
	default:
		return first + (argc-first)/s.Find.Limit + s.Find.Last
	}
}

package settings

import "math"

// kind says how a directive's text is read and written.
type kind uint8

const (
	kindBool kind = iota
	kindInt
	kindMemory
	kindOctal
	kindPercentOrMemory // stored negative when given as a percentage
	kindEnum
	kindEnumSet // several words of one enum, joined by spaces
	kindString
	kindSpecial
)

// flags of a directive.
type flags uint16

const (
	flagImmutable   flags = 1 << iota // refused by CONFIG SET
	flagProtected                     // CONFIG SET needs enable-protected-configs
	flagSensitive                     // never logged
	flagDenyLoading                   // refused while a data set loads
	flagHidden                        // shown by CONFIG GET only under its exact name
	flagMultiArg                      // several words in the file; one string, split at spaces, in CONFIG SET
	flagUnsigned                      // 64 bits without sign
	flagReapply                       // CONFIG SET of the same value counts as a change: what it names is read again
	flagBareYes                       // as a flag it may stand without a value: `--managed`
)

// Directive is one row of the table.
type Directive struct {
	Name  string
	Alias string // the other name that works as well ("" for none)

	// Inert tells why setting the directive changes nothing; "" when it has an effect.
	Inert string

	kind     kind
	flags    flags
	def      string // default, as CONFIG GET shows it
	lo, hi   int64  // limits of numbers; hi is a uint64 when flagUnsigned
	words    []string
	values   []int64 // of the words; nil: their positions
	validate func(v *value) error
	special  *special
	index    int
}

// Immutable reports whether CONFIG SET refuses the directive.
func (d *Directive) Immutable() bool { return d.flags&flagImmutable != 0 }

// Sensitive reports whether values must be kept out of logs.
func (d *Directive) Sensitive() bool { return d.flags&flagSensitive != 0 }

// Default is the value at start, as CONFIG GET would show it.
func (d *Directive) Default() string { return d.def }

const (
	maxInt32  = math.MaxInt32
	maxUint32 = math.MaxUint32
	maxInt64  = math.MaxInt64
)

func boolean(name string, on bool) Directive {
	def := "no"
	if on {
		def = "yes"
	}
	return Directive{Name: name, kind: kindBool, def: def}
}

func integer(name, def string, lo, hi int64) Directive {
	return Directive{Name: name, kind: kindInt, def: def, lo: lo, hi: hi}
}

func memory(name, def string, lo, hi int64) Directive {
	return Directive{Name: name, kind: kindMemory, def: def, lo: lo, hi: hi}
}

func text(name, def string) Directive { return Directive{Name: name, kind: kindString, def: def} }

func enum(name, def string, words ...string) Directive {
	return Directive{Name: name, kind: kindEnum, def: def, words: words}
}

func other(name, def string, s *special) Directive {
	return Directive{Name: name, kind: kindSpecial, def: def, special: s}
}

func (d Directive) alias(name string) Directive          { d.Alias = name; return d }
func (d Directive) inert(why string) Directive           { d.Inert = why; return d }
func (d Directive) with(f flags) Directive               { d.flags |= f; return d }
func (d Directive) fixed() Directive                     { return d.with(flagImmutable) }
func (d Directive) check(f func(*value) error) Directive { d.validate = f; return d }
func (d Directive) numbered(v ...int64) Directive        { d.values = v; return d }

// only refuses every value but the default, with the reason: used where accepting the value would
// promise a protection that the server does not give.
func (d Directive) only(why string) Directive {
	def := d.def
	self := d
	return d.check(func(v *value) error {
		if format(&self, v) != def {
			return reason(why)
		}
		return nil
	})
}

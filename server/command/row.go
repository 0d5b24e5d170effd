package command

// Handler executes one command. It appends exactly one reply to c.Out (an error included).
type Handler func(c *Ctx)

// Row is one command as data. Rows are written once, at start, and never change.
type Row struct {
	Name       string
	Arity      int // arguments with the name; negative: at least that many
	Flags      Flags
	Categories Category // those that do not follow from the flags
	Keys       []KeySpec
	Hints      []string // COMMAND INFO's tips
	Group      string   // documentation group: string, hash, generic, server, ...
	Summary    string
	Since      string
	Complexity string
	Args       string // argument shape; see parseArgs for the notation
	Deprecated Deprecation
	SysCmd     bool // internal: documented as a system command
	Subs       []Row
	Handler    Handler
}

// Deprecation says since when a command is deprecated and what to use instead.
type Deprecation struct{ Since, ReplacedBy string }

// Cmd is a row in a table, ready for dispatch.
type Cmd struct {
	*Row
	FullName   string // canonical name: lower case, "config|get" for a subcommand
	Categories Category
	Handler    Handler // nil until attached
	Parent     *Cmd    // of a subcommand
	Subs       []*Cmd
	// Index numbers the commands of a table densely from 0, subcommands included: for per-command counters and ACL bits.
	Index int
	// Renamed is set when clients know the command by another name or not at all; its effects keep the canonical name.
	Renamed bool

	subs           map[string]*Cmd
	args           []Arg
	element        int
	aloof          bool
	legacy         legacyKeys
	movable        bool
	canonicalBytes []byte
}

// IsWrite tells whether the command may change the data set.
func (c *Cmd) IsWrite() bool { return c.Flags&Write != 0 }

// IsReadOnly tells whether the command can run under the shared lock: it reads keys and changes nothing, the queues of
// clients that wait included.
func (c *Cmd) IsReadOnly() bool {
	return c.Flags&ReadOnly != 0 && c.Flags&(Write|MayReplicate|Blocking) == 0 && c.Categories&CatScripting == 0
}

// Aloof tells whether the command has nothing to do with the server but its data: it neither asks for anything else that commands
// before it may have changed, nor changes it.
func (c *Cmd) Aloof() bool { return c.aloof }

// ArityOK checks the number of arguments, the name included.
func (c *Cmd) ArityOK(n int) bool {
	if c.Arity >= 0 {
		return n == c.Arity
	}
	return n >= -c.Arity
}

// FirstKey is the position of the first key, 0 when there is none or it has no fixed place.
func (c *Cmd) FirstKey() int { return c.legacy.first }

// FirstElement is the position of the first field or member that the command names of the value at its first key, when its
// options are left out; 0 when it names none.
func (c *Cmd) FirstElement() int { return c.element }

// firstElement finds it in an argument shape.
func firstElement(args []Arg) int {
	at := 0
	for _, a := range args {
		parts := a.Args
		switch {
		case a.Optional:
			continue
		case a.Type != "block":
			parts = []Arg{a}
		}
		for _, p := range parts {
			if at++; p.Name == "field" || p.Name == "member" {
				return at
			}
		}
		if a.Multiple {
			return 0
		}
	}
	return 0
}

// Documented returns the parsed argument shape.
func (c *Cmd) Documented() []Arg { return c.args }

// KeysOf appends the positions of the keys in args to dst. ok is false when args do not fit the command's key specs.
func (c *Cmd) KeysOf(dst []KeyRef, args [][]byte) (keys []KeyRef, ok bool) {
	if find := irregularKeys[c.FullName]; find != nil {
		return find(dst, args)
	}
	for i := range c.Keys {
		if dst, ok = c.Keys[i].append(dst, args); !ok {
			return dst, false
		}
	}
	return dst, true
}

// legacyKeys is the first/last/step triple that COMMAND INFO shows for old clients.
type legacyKeys struct{ first, last, step int }

// legacy folds the key specs with an index into one range. movable tells that the range misses keys.
func foldKeys(specs []KeySpec) (l legacyKeys, movable bool) {
	for _, s := range specs {
		plain := s.Begin.Keyword == "" && s.Begin.Index > 0 && s.Find.Kind == FindRange && s.Flags&KeyIncomplete == 0
		if !plain || s.Find.Last < 0 && s.Find.Limit > 1 {
			movable = true
			continue
		}
		last := s.Find.Last
		if last >= 0 {
			last += s.Begin.Index
		}
		step := max(s.Find.Step, 1)
		switch {
		case l.first == 0:
			l = legacyKeys{s.Begin.Index, last, step}
		case l.step == 1 && step == 1 && l.last >= 0 && s.Begin.Index == l.last+1:
			l.last = last
		default:
			movable = true
		}
	}
	return l, movable
}

func (c *Cmd) renamed() bool { return c.Renamed || c.Parent != nil && c.Parent.Renamed }

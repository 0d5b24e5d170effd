package settings

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// Settings holds the values in force.
type Settings struct {
	slots []atomic.Pointer[value] // by Directive.index; never nil

	mu        sync.Mutex // serialises changes; readers do not take it
	hooks     []hook
	renames   []Rename
	users     []UserLine
	userLines func() []string // the lines `user` of CONFIG REWRITE; nil: those of the file stay
	file      string          // the file that CONFIG REWRITE rewrites ("" when none was given)
	saved     bool            // a `save` line was read: the following ones add to it
}

// Rename is a `rename-command` line: To == "" removes the command.
type Rename struct{ From, To string }

// UserLine is a `user` line: who may do what. Its words, the first left out, are for package acl.
type UserLine struct {
	Source string // as in Error
	Line   int
	Text   string
	Words  []string
}

type hook struct {
	indexes map[int]bool
	apply   func() error
}

// registry is every directive with its aliases, built once from the tables.
type registry struct {
	rows   []Directive
	byName map[string]*Directive
}

var all = buildRegistry()

func buildRegistry() *registry {
	r := &registry{byName: map[string]*Directive{}}
	r.rows = append(append(r.rows, table...), own...)
	for i := range r.rows {
		d := &r.rows[i]
		d.index = i
		for _, name := range []string{d.Name, d.Alias} {
			if name == "" {
				continue
			}
			if r.byName[name] != nil {
				panic("settings: two directives named " + name)
			}
			r.byName[name] = d
		}
	}
	return r
}

// Lookup finds a directive by its name or alias, in any case; nil when there is none.
func Lookup(name string) *Directive { return all.byName[strings.ToLower(name)] }

// Given tells whether the file, a flag or CONFIG SET named the directive: then its value is wanted even where it equals
// the default.
func (s *Settings) Given(name string) bool {
	d := Lookup(name)
	return d != nil && s.slots[d.index].Load() != defaults()[d.index]
}

// Directives answers every row, in table order. The rows must not be changed.
func Directives() []Directive { return all.rows }

// defaults parses the default of every row: a row whose default is invalid fails at start.
var defaults = sync.OnceValue(func() []*value {
	out := make([]*value, len(all.rows))
	for i := range all.rows {
		d := &all.rows[i]
		if d.special == &dirValue || d.special == &replicaOfValue {
			out[i] = &value{}
			continue
		}
		words := []string{d.def}
		if d.flags&flagMultiArg != 0 {
			words = strings.Split(d.def, " ")
		}
		v, err := d.parse(words, nil, false)
		if err != nil {
			panic("settings: default of " + d.Name + ": " + err.Error())
		}
		out[i] = v
	}
	return out
})

// New answers settings with every directive at its default; dir is the working directory.
func New() *Settings {
	s := &Settings{slots: make([]atomic.Pointer[value], len(all.rows))}
	for i, v := range defaults() {
		s.slots[i].Store(v)
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	s.slots[dirIndex].Store(&value{text: dir})
	return s
}

var (
	dirIndex         = keyOf("dir", kindSpecial)
	saveIndex        = keyOf("save", kindSpecial)
	outputIndex      = keyOf("client-output-buffer-limit", kindSpecial)
	notifyIndex      = keyOf("notify-keyspace-events", kindSpecial)
	bindIndex        = keyOf("bind", kindSpecial)
	replicaOfIndex   = keyOf("replicaof", kindSpecial)
	oomScoresIndex   = keyOf("oom-score-adj-values", kindSpecial)
	percentilesIndex = keyOf("latency-tracking-info-percentiles", kindSpecial)
)

// Bool, Int, Enum and String read a value without a lock. Memory sizes are bytes; an unsigned size
// above the int64 range reads as the largest int64.
func (s *Settings) Bool(k BoolKey) bool { return s.slots[k.index].Load().num != 0 }

func (s *Settings) Int(k IntKey) int64 {
	n := s.slots[k.index].Load().num
	if n < 0 && all.rows[k.index].flags&flagUnsigned != 0 {
		return maxInt64
	}
	return n
}

func (s *Settings) Enum(k EnumKey) int64      { return s.slots[k.index].Load().num }
func (s *Settings) String(k StringKey) string { return s.slots[k.index].Load().text }

// EnumName is the word of an enum's value.
func (s *Settings) EnumName(k EnumKey) string {
	return format(&all.rows[k.index], s.slots[k.index].Load())
}

// Dir is the absolute directory that relative file names are taken from.
func (s *Settings) Dir() string { return s.slots[dirIndex].Load().text }

// SavePoints must not be changed by the caller.
func (s *Settings) SavePoints() []SavePoint {
	return s.slots[saveIndex].Load().aux.([]SavePoint)
}

// OutputLimits answers client-output-buffer-limit.
func (s *Settings) OutputLimits() OutputLimits {
	return s.slots[outputIndex].Load().aux.(OutputLimits)
}

// NotifyEvents answers the Notify* bits of notify-keyspace-events.
func (s *Settings) NotifyEvents() int64 { return s.slots[notifyIndex].Load().num }

// Bind answers the addresses to listen on: "*" all of IPv4, "::*" all of IPv6; a leading "-" means
// that an address which the system does not have is no error. The slice must not be changed.
func (s *Settings) Bind() []string {
	addrs, _ := s.slots[bindIndex].Load().aux.([]string)
	return addrs
}

// OOMScores answers oom-score-adj-values: those of a master, a replica, and a child.
func (s *Settings) OOMScores() [3]int { return s.slots[oomScoresIndex].Load().aux.([3]int) }

// Percentiles answers latency-tracking-info-percentiles; the slice must not be changed.
func (s *Settings) Percentiles() []float64 {
	list, _ := s.slots[percentilesIndex].Load().aux.([]float64)
	return list
}

// ReplicaOf answers the upstream, and false for a master.
func (s *Settings) ReplicaOf() (Upstream, bool) {
	up, ok := s.slots[replicaOfIndex].Load().aux.(Upstream)
	return up, ok
}

// SetReplicaOf records the upstream that REPLICAOF chose, so that CONFIG GET and CONFIG REWRITE tell
// it; an empty host means master. It runs no hook.
func (s *Settings) SetReplicaOf(up Upstream) {
	words := []string{up.Host, itoa(up.Port)}
	if up.Host == "" {
		words = []string{"no", "one"}
	}
	v, err := replicaOfValue.parse(words, nil, false)
	if err != nil {
		panic("settings: " + err.Error()) // the command has checked host and port
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[replicaOfIndex].Store(v)
}

// Renames answers the rename-command lines in the order of the file.
func (s *Settings) Renames() []Rename { return s.renames }

// Users answers the `user` lines in the order of the file.
func (s *Settings) Users() []UserLine { return s.users }

// OnRewriteUsers sets what tells CONFIG REWRITE the `user` lines.
func (s *Settings) OnRewriteUsers(lines func() []string) { s.userLines = lines }

// File is the absolute path of the configuration file, "" when there is none.
func (s *Settings) File() string { return s.file }

// OnChange calls apply after any of the named directives changed by Set, once per Set; an error
// undoes the whole Set, apply is then called again for the restored values, and the text is shown to
// the client. It is not called while files are loaded: read the values at start. apply must not
// change settings.
func (s *Settings) OnChange(apply func() error, names ...string) {
	h := hook{indexes: map[int]bool{}, apply: apply}
	for _, name := range names {
		d := Lookup(name)
		if d == nil {
			panic("settings: OnChange of unknown directive " + name)
		}
		h.indexes[d.index] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

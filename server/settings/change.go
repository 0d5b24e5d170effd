package settings

import (
	"fmt"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Pair is one directive and its new value, as CONFIG SET takes them.
type Pair struct{ Name, Value string }

// SetContext tells Set what the caller may change.
type SetContext struct {
	Protected bool // protected directives may be changed (see enable-protected-configs)
	Loading   bool // a data set is loading
}

// ErrLoading is answered for directives that must not change while a data set loads.
const ErrLoading = reason("LOADING Redis is loading the dataset in memory")

// Set changes all pairs or none. The error's text is the reply without its leading "ERR " (ErrLoading
// replaces the whole reply).
func (s *Settings) Set(ctx SetContext, pairs ...Pair) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.admit(ctx, pairs)
	if err != nil {
		return err
	}
	olds := make([]*value, len(pairs))
	for i, d := range rows {
		olds[i] = s.slots[d.index].Load()
	}
	changed := map[int]bool{}
	for i, d := range rows {
		v, err := d.parse(setWords(d, pairs[i].Value), olds[i], false)
		if err != nil {
			s.restore(rows[:i], olds)
			return failed(strings.ToLower(pairs[i].Name), err)
		}
		if format(d, v) != format(d, olds[i]) || d.flags&flagReapply != 0 {
			changed[d.index] = true
		}
		s.slots[d.index].Store(v)
	}
	return s.apply(rows, olds, changed)
}

func setWords(d *Directive, v string) []string {
	if d.flags&flagMultiArg != 0 {
		return strings.Split(v, " ")
	}
	return []string{v}
}

// admit finds the rows and refuses what may not be set at all, before any value is looked at.
func (s *Settings) admit(ctx SetContext, pairs []Pair) ([]*Directive, error) {
	rows := make([]*Directive, len(pairs))
	seen := map[string]bool{} // by the name used: a directive and its alias are two, the last one wins
	loading := false
	var first error
	refuse := func(err error) {
		if first == nil {
			first = err
		}
	}
	for i, p := range pairs {
		d := Lookup(p.Name)
		name := strings.ToLower(p.Name)
		switch {
		case d == nil:
			refuse(fmt.Errorf("Unknown option or number of arguments for CONFIG SET - '%s'", p.Name)) //nolint:staticcheck // Redis' text
			continue
		case d.Immutable():
			refuse(failed(p.Name, reason("can't set immutable config")))
		case d.flags&flagProtected != 0 && !ctx.Protected:
			refuse(failed(p.Name, reason("can't set protected config")))
		case ctx.Loading && d.flags&flagDenyLoading != 0:
			loading = loading || first == nil
			refuse(ErrLoading)
		case seen[name]:
			refuse(failed(p.Name, reason("duplicate parameter")))
		}
		seen[name] = true
		rows[i] = d
	}
	if loading {
		return nil, ErrLoading
	}
	return rows, first
}

func failed(name string, why error) error {
	return fmt.Errorf("CONFIG SET failed (possibly related to argument '%s') - %w", name, why) //nolint:staticcheck // Redis' text
}

// apply runs the hooks of the changed rows; the first failure restores every value and runs again
// the hooks that had run.
func (s *Settings) apply(rows []*Directive, olds []*value, changed map[int]bool) error {
	var ran []hook
	for _, h := range s.hooks {
		d := h.touched(rows, changed)
		if d == nil {
			continue
		}
		ran = append(ran, h)
		err := h.apply()
		if err == nil {
			continue
		}
		s.restore(rows, olds)
		for _, h := range ran {
			_ = h.apply() // the old values were in force before: nothing better can be done
		}
		return failed(d.Name, err)
	}
	return nil
}

func (h *hook) touched(rows []*Directive, changed map[int]bool) *Directive {
	for _, d := range rows {
		if changed[d.index] && h.indexes[d.index] {
			return d
		}
	}
	return nil
}

func (s *Settings) restore(rows []*Directive, olds []*value) {
	for i, d := range rows {
		s.slots[d.index].Store(olds[i])
	}
}

// Get answers the names and values that CONFIG GET shows for the patterns. A name without glob
// characters is answered as it was asked for; a pattern lists names and aliases in table order.
func (s *Settings) Get(patterns ...string) []Pair {
	var out []Pair
	seen := map[string]bool{}
	add := func(shown string, d *Directive) {
		if key := strings.ToLower(shown); !seen[key] {
			seen[key] = true
			out = append(out, Pair{shown, format(d, s.slots[d.index].Load())})
		}
	}
	for _, p := range patterns {
		if !strings.ContainsAny(p, "[*?") {
			if d := Lookup(p); d != nil {
				add(p, d)
			}
			continue
		}
		for i := range all.rows {
			d := &all.rows[i]
			if d.flags&flagHidden != 0 {
				continue
			}
			for _, name := range []string{d.Name, d.Alias} {
				if name != "" && matchFold(p, name) {
					add(name, d)
				}
			}
		}
	}
	return out
}

// Value answers one directive as CONFIG GET shows it, "" for an unknown one.
func (s *Settings) Value(name string) string {
	d := Lookup(name)
	if d == nil {
		return ""
	}
	return format(d, s.slots[d.index].Load())
}

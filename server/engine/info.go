package engine

import (
	"fmt"
	"strconv"
	"strings"
)

// InfoWriter collects the lines of an INFO section.
type InfoWriter struct{ b []byte }

// Field writes name:value; values are printed as Redis prints them (booleans as 0 and 1).
func (w *InfoWriter) Field(name string, value any) {
	w.b = append(append(w.b, name...), ':')
	switch v := value.(type) {
	case string:
		w.b = append(w.b, v...)
	case int:
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	case int64:
		w.b = strconv.AppendInt(w.b, v, 10)
	case bool:
		if v {
			w.b = append(w.b, '1')
		} else {
			w.b = append(w.b, '0')
		}
	default:
		w.b = fmt.Append(w.b, v)
	}
	w.b = append(w.b, '\r', '\n')
}

// Fieldf is Field with a formatted value.
func (w *InfoWriter) Fieldf(name, format string, args ...any) {
	w.Field(name, fmt.Sprintf(format, args...))
}

// infoSections is Redis' order. Those marked are shown only when asked for by name or by "all" and "everything".
var infoSections = []struct {
	name, title string
	extra       bool
}{
	{"server", "Server", false}, {"clients", "Clients", false}, {"memory", "Memory", false}, {"persistence", "Persistence", false},
	{"stats", "Stats", false}, {"replication", "Replication", false}, {"cpu", "CPU", false}, {"modules", "Modules", false},
	{"commandstats", "Commandstats", true}, {"errorstats", "Errorstats", false}, {"latencystats", "Latencystats", true},
	{"cluster", "Cluster", false}, {"keyspace", "Keyspace", false}, {"understudy", "Understudy", true},
}

type infoRegistry struct {
	fill map[string][]func(*InfoWriter)
}

func (r *infoRegistry) init() { r.fill = map[string][]func(*InfoWriter){} }

// RegisterInfo adds lines to a section of INFO. fn runs with the lock held exclusively; register before clients come.
func (e *Engine) RegisterInfo(section string, fn func(*InfoWriter)) {
	for _, s := range infoSections {
		if s.name == section {
			e.info.fill[section] = append(e.info.fill[section], fn)
			return
		}
	}
	panic("engine: no INFO section " + section)
}

// Info renders the wanted sections: names, or "default", "all", "everything"; none means default. The lock must be held
// exclusively.
func (e *Engine) Info(wanted ...string) []byte {
	var w InfoWriter
	for _, s := range infoSections {
		fill, known := e.info.fill[s.name]
		if !known || !infoWanted(s.name, s.extra, wanted) {
			continue
		}
		if len(w.b) > 0 {
			w.b = append(w.b, '\r', '\n')
		}
		w.b = append(append(append(w.b, "# "...), s.title...), '\r', '\n')
		for _, fn := range fill {
			fn(&w)
		}
	}
	return w.b
}

func infoWanted(name string, extra bool, wanted []string) bool {
	if len(wanted) == 0 {
		return !extra
	}
	for _, w := range wanted {
		switch w = strings.ToLower(w); {
		case w == name, w == "everything", w == "all" && name != "modules":
			return true
		case w == "default" && !extra:
			return true
		}
	}
	return false
}

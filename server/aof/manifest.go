package aof

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/resp"
)

// Type is the kind of a part.
type Type byte

// Types of parts.
const (
	Base      Type = 'b'
	Increment Type = 'i'
	History   Type = 'h' // replaced, and to be deleted
)

// Part is one file of an append-only file.
type Part struct {
	Name string
	Seq  int64
	Type Type
}

// IsRDB reports whether a base was written as an RDB, by its name; what it holds its first bytes tell.
func (p Part) IsRDB() bool { return strings.HasSuffix(p.Name, ".rdb") }

// Manifest names the parts. Increments are in the order of their numbers; History has the newest first, as Redis writes it.
type Manifest struct {
	Base       *Part
	Increments []Part
	History    []Part
}

// Empty reports whether there is nothing to load.
func (m *Manifest) Empty() bool { return m.Base == nil && len(m.Increments) == 0 }

// Parts are those that make up the data set, in the order of loading.
func (m *Manifest) Parts() (list []Part) {
	if m.Base != nil {
		list = append(list, *m.Base)
	}
	return append(list, m.Increments...)
}

// Clone copies a manifest, so that it can be changed and be given up.
func (m *Manifest) Clone() *Manifest {
	c := &Manifest{Increments: append([]Part(nil), m.Increments...), History: append([]Part(nil), m.History...)}
	if m.Base != nil {
		base := *m.Base
		c.Base = &base
	}
	return c
}

// next is the number of the next part of a kind: above all of its kind that are there.
func (m *Manifest) next(kind string, last int64) int64 {
	for _, p := range m.History {
		if strings.Contains(p.Name, kind) {
			last = max(last, p.Seq)
		}
	}
	return last + 1
}

// NewIncrement names the increment that comes next.
func (m *Manifest) NewIncrement(file string) Part {
	last := int64(0)
	if n := len(m.Increments); n > 0 {
		last = m.Increments[n-1].Seq
	}
	seq := m.next(".incr.", last)
	return Part{Name: fmt.Sprintf("%s.%d.incr.aof", file, seq), Seq: seq, Type: Increment}
}

// NewBase names the base that comes next.
func (m *Manifest) NewBase(file string, rdb bool) Part {
	last, suffix := int64(0), ".aof"
	if m.Base != nil {
		last = m.Base.Seq
	}
	if rdb {
		suffix = ".rdb"
	}
	seq := m.next(".base.", last)
	return Part{Name: fmt.Sprintf("%s.%d.base%s", file, seq, suffix), Seq: seq, Type: Base}
}

// Rewritten makes base the new one: it holds what the old base and all increments before number from hold, which become
// history. From 0 all of them do.
func (m *Manifest) Rewritten(base Part, from int64) {
	var old []Part
	var kept []Part
	for _, p := range m.Increments {
		if from == 0 || p.Seq < from {
			p.Type = History
			old = append([]Part{p}, old...)
		} else {
			kept = append(kept, p)
		}
	}
	if m.Base != nil {
		p := *m.Base
		p.Type = History
		old = append(old, p)
	}
	m.Base, m.Increments = &base, kept
	m.History = append(old, m.History...)
}

// String is the manifest's text.
func (m *Manifest) String() string {
	var b strings.Builder
	line := func(p Part) { fmt.Fprintf(&b, "file %s seq %d type %c\n", quoted(p.Name), p.Seq, p.Type) }
	if m.Base != nil {
		line(*m.Base)
	}
	for _, p := range m.History {
		line(p)
	}
	for _, p := range m.Increments {
		line(p)
	}
	return b.String()
}

// quoted is a name as one word of a line.
func quoted(name string) string {
	plain := name != ""
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\' {
			plain = false
		}
	}
	if plain {
		return name
	}
	return string(resp.AppendQuoted(nil, []byte(name)))
}

// ManifestError is a manifest that cannot be used, in the words that Redis logs.
type ManifestError struct {
	Line int // 0: the whole file
	Text string
	Why  string
}

func (e *ManifestError) Error() string {
	if e.Line == 0 {
		return e.Why
	}
	return fmt.Sprintf("%s (line %d of the manifest: '%s')", e.Why, e.Line, e.Text)
}

// maxLine is the longest line of a manifest, its end included.
const maxLine = 1024

// ParseManifest reads a manifest's text.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) == 0 {
		return nil, &ManifestError{Why: "Found an empty AOF manifest"}
	}
	m := &Manifest{}
	for n := 1; len(text) > 0; n++ {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		text = rest
		if len(line) > 0 && line[0] == '#' && ended {
			continue
		}
		if !ended || len(line)+1 > maxLine {
			return nil, &ManifestError{n, string(line[:min(len(line), 80)]), "The AOF manifest file contains too long line"}
		}
		if why := m.add(line); why != "" {
			return nil, &ManifestError{n, string(line), why}
		}
	}
	return m, nil
}

const badLine = "Invalid AOF manifest file format"

// add takes a line, or tells what is wrong with it.
func (m *Manifest) add(line []byte) (why string) {
	words, ok := resp.SplitArgs(bytes.Trim(line, " \t\r\n"), nil)
	if !ok || len(words) < 6 || len(words)%2 != 0 {
		return badLine
	}
	var p Part
	for i := 0; i < len(words); i += 2 {
		value := string(words[i+1])
		switch strings.ToLower(string(words[i])) {
		case "file":
			if value == "" || value == "." || value == ".." || filepath.Base(value) != value {
				return "File can't be a path, just a filename"
			}
			p.Name = value
		case "seq":
			p.Seq, _ = strconv.ParseInt(value, 10, 64) // 0 is refused below
		case "type":
			if len(value) > 0 {
				p.Type = Type(value[0])
			}
		}
	}
	if p.Name == "" || p.Seq <= 0 || p.Type == 0 {
		return badLine
	}
	switch p.Type {
	case Base:
		if m.Base != nil {
			return "Found duplicate base file information"
		}
		m.Base = &p
	case History:
		m.History = append(m.History, p)
	case Increment:
		if n := len(m.Increments); n > 0 && p.Seq <= m.Increments[n-1].Seq {
			return "Found a non-monotonic sequence number"
		}
		m.Increments = append(m.Increments, p)
	default:
		return "Unknown AOF file type"
	}
	return ""
}

// Dir is where the parts lie.
type Dir struct {
	FS   fsys.FS
	Path string // of the directory
	File string // appendfilename
}

// Part is the path of one.
func (d *Dir) Part(name string) string { return filepath.Join(d.Path, name) }

func (d *Dir) manifest() string { return d.Part(d.File + ".manifest") }

// Load reads the manifest; nil when there is none.
func (d *Dir) Load() (*Manifest, error) {
	text, err := fsys.ReadFile(d.FS, d.manifest())
	if fsys.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the AOF manifest: %w", err)
	}
	return ParseManifest(text)
}

// Store makes m the manifest: after a crash at any moment it is either the old one or m.
func (d *Dir) Store(m *Manifest) error {
	temp := d.Part("temp_" + d.File + ".manifest")
	err := d.write(temp, []byte(m.String()))
	if err == nil {
		err = d.FS.Rename(temp, d.manifest())
	}
	if err != nil {
		_ = d.FS.Remove(temp) // the first error is the one to report
		return fmt.Errorf("write the AOF manifest: %w", err)
	}
	return d.FS.SyncDir(d.Path)
}

func (d *Dir) write(name string, text []byte) error {
	f, err := d.FS.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

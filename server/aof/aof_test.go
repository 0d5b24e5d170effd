package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/resp"
)

func TestManifestIsReadAsItIsWritten(t *testing.T) {
	m := &Manifest{Base: &Part{"a b.2.base.rdb", 2, Base}, Increments: []Part{{"a b.5.incr.aof", 5, Increment}, {"a b.7.incr.aof", 7, Increment}},
		History: []Part{{"x\"\\\x01.1.base.aof", 1, History}}}
	got, err := ParseManifest([]byte(m.String()))
	if err != nil || got.String() != m.String() || got.Base.Name != m.Base.Name || got.History[0].Name != m.History[0].Name {
		t.Fatalf("%v: read\n%swritten\n%s", err, got, m)
	}
	if !strings.HasPrefix(m.String(), "file \"a b.2.base.rdb\" seq 2 type b\n") {
		t.Errorf("not Redis' form: %s", m)
	}
	if n := m.NewBase("f", true); n.Name != "f.3.base.rdb" {
		t.Error(n)
	}
	if n := m.NewIncrement("f"); n.Name != "f.8.incr.aof" {
		t.Error(n)
	}
	m.Rewritten(Part{"b", 3, Base}, 7)
	if m.Base.Name != "b" || len(m.Increments) != 1 || m.Increments[0].Seq != 7 || len(m.History) != 3 || m.History[0].Seq != 5 || m.History[1].Seq != 2 {
		t.Errorf("after a rewrite:\n%s", m)
	}
}

func TestManifestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "Found an empty AOF manifest",
		"\n":                        badLine,
		"file a seq 1 type b":       "The AOF manifest file contains too long line",
		"file a seq 1 type x\n":     "Unknown AOF file type",
		"file a seq 0 type b\n":     badLine,
		"file a type b\n":           badLine,
		"file a seq 1 type b odd\n": badLine,
		"filx a seq 1 type b\n":     badLine,
		"file a/b seq 1 type b\n":   "File can't be a path, just a filename",
		"file .. seq 1 type b\n":    "File can't be a path, just a filename",
		"file \"a seq 1 type b\n":   badLine,
		"file a seq 1 type b\nfile b seq 2 type b\n":            "Found duplicate base file information",
		"file a seq 2 type i\nfile b seq 2 type i\n":            "Found a non-monotonic sequence number",
		"file " + strings.Repeat("a", 1024) + " seq 1 type b\n": "The AOF manifest file contains too long line",
	} {
		_, err := ParseManifest([]byte(text))
		var bad *ManifestError
		if !errors.As(err, &bad) || bad.Why != want {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	if m, err := ParseManifest([]byte("# a comment\nfile a seq 1 type b new key\n")); err != nil || m.Base.Name != "a" {
		t.Error("a later version's word:", err)
	}
}

// TestManifestSurvivesCrashes fails and crashes at every call of storing a manifest: the old one is found, or the new.
func TestManifestSurvivesCrashes(t *testing.T) {
	old, next := &Manifest{Base: &Part{"old", 1, Base}}, &Manifest{Base: &Part{"new", 2, Base}}
	for n := 0; ; n++ {
		mem := fsys.NewMem()
		if err := (&Dir{mem, "/d", "f"}).Store(old); err != nil {
			t.Fatal(err)
		}
		calls := 0
		faulty := fsys.NewFaulty(mem, func(op fsys.Op) error {
			if calls = op.N + 1; op.N == n {
				mem.Crash()
				return errors.New("crash")
			}
			return nil
		})
		err := (&Dir{faulty, "/d", "f"}).Store(next)
		m, lerr := (&Dir{mem, "/d", "f"}).Load()
		if lerr != nil || m == nil || (m.Base.Name != "old" && m.Base.Name != "new") || err == nil && m.Base.Name != "new" {
			t.Fatalf("crash at call %d: stored %v, found %v (%v)", n, err, m, lerr)
		}
		if calls <= n {
			return
		}
	}
}

// readAll reads a part and tells how its commands group into units, where it is at the end, and how it ended.
func readAll(r *Reader) (cmds []string, err error) {
	for {
		list, err := r.Batch()
		if err != nil {
			return cmds, err
		}
		for _, c := range list {
			cmds = append(cmds, string(bytes.Join(c, []byte(" "))))
		}
	}
}

func cmd(words ...string) string { return string(resp.AppendCommandStrings(nil, words...)) }

func TestReaderFollowsThePlaceToEveryTornEnd(t *testing.T) {
	id := strings.Repeat("a", 40)
	var file []byte
	var n Notes
	type end struct {
		at    int
		place Place
		cmds  int
	}
	ends := []end{{0, Place{"base", 7}, 0}}
	offset, count := int64(100), 0
	add := func(text string, counts, whole bool, cmds int) {
		file = n.Piece(file, counts, id, id, offset)
		file = append(file, text...)
		n.Wrote(len(text))
		if counts {
			offset += int64(len(text))
		}
		if count += cmds; whole {
			p := Place{id, offset}
			if ends[len(ends)-1].place.ID == "base" && !counts {
				p = ends[len(ends)-1].place
			}
			ends = append(ends, end{len(file), p, count})
		}
	}
	add(cmd("SELECT", "3"), false, true, 1)
	add(cmd("SET", "a", "1"), true, true, 1)
	add(cmd("SET", "b", strings.Repeat("x", 3000)), true, true, 1)
	offset += 14 // a PING
	add(cmd("SET", "c", "3"), true, true, 1)
	add(cmd("MULTI")+cmd("SET", "d", "4"), true, false, 2)
	add(cmd("SET", "own", "5"), false, false, 1)
	add(cmd("EXEC"), true, true, 1)
	add(cmd("SET", "e", "#\n*1\r\n"), true, true, 1)
	for cut := 0; cut <= len(file); cut++ {
		i := len(ends) - 1
		for ends[i].at > cut {
			i--
		}
		for _, in := range []io.Reader{bytes.NewReader(file[:cut]), iotest{file[:cut], new(int)}} {
			r := NewReader(in, 0)
			r.Place = Place{"base", 7}
			cmds, err := readAll(r)
			var torn *Truncated
			switch {
			case len(cmds) != ends[i].cmds:
				t.Fatalf("cut at %d: %d commands, want %d", cut, len(cmds), ends[i].cmds)
			case errors.Is(err, io.EOF):
			case !errors.As(err, &torn):
				t.Fatalf("cut at %d: %v", cut, err)
			case torn.Pos < int64(ends[i].at) || torn.Pos > int64(cut):
				t.Fatalf("cut at %d: whole up to %d, want %d", cut, torn.Pos, ends[i].at)
			}
			// a note behind the last unit may tell more than the unit itself
			if p := r.Place; p != ends[i].place && (i+1 == len(ends) || p.Offset > ends[i+1].place.Offset || p.ID != id) {
				t.Fatalf("cut at %d: place %v, want %v", cut, p, ends[i].place)
			}
		}
	}
}

// iotest gives its bytes in small pieces of changing size.
type iotest struct {
	p  []byte
	at *int
}

func (r iotest) Read(p []byte) (int, error) {
	if *r.at == len(r.p) {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+*r.at%7)], r.p[*r.at:])
	*r.at += n
	return n, nil
}

func TestReaderRefusesWhatIsNoCommand(t *testing.T) {
	good := cmd("SET", "a", "1")
	for text, pos := range map[string]int{"!!!": len(good), "set a 1\r\n": len(good), "*x\r\n": len(good), "*0\r\n": len(good), "*1\r\n+a\r\n": len(good),
		"#" + strings.Repeat("x", 2000) + "\r\n": len(good)} {
		cmds, err := readAll(NewReader(strings.NewReader(good+text+good), 0))
		var bad *Damaged
		if len(cmds) != 1 || !errors.As(err, &bad) || bad.Pos != int64(pos) {
			t.Errorf("%.20q: %d commands, %v", text, len(cmds), err)
		}
	}
	zeros := good + strings.Repeat("\x00", 5000)
	var torn *Truncated
	if cmds, err := readAll(NewReader(strings.NewReader(zeros), 0)); len(cmds) != 1 || !errors.As(err, &torn) || torn.Pos != int64(len(good)) {
		t.Errorf("zeros at the end: %d commands, %v", len(cmds), err)
	}
}

func TestCommandsOfUnknownOriginHaveNoPlace(t *testing.T) {
	var n Notes
	file := n.Piece(nil, true, "", strings.Repeat("a", 40), 5)
	file = append(file, cmd("SET", "a", "1")...)
	file = n.End(file)
	r := NewReader(bytes.NewReader(file), 0)
	if _, err := readAll(r); !errors.Is(err, io.EOF) || r.Place.Offset != 5+int64(len(cmd("SET", "a", "1"))) {
		t.Fatalf("%v at the orderly end: %v", r.Place, err)
	}
	r = NewReader(strings.NewReader(string(file)+cmd("SET", "b", "1")), 0) // redis-server went on
	if _, err := readAll(r); !errors.Is(err, io.EOF) || r.Place != (Place{}) {
		t.Fatalf("place %v: %v", r.Place, err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile \"x y\" seq 9 type h\n# c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		again, err := ParseManifest([]byte(m.String()))
		if err != nil && m.String() != "" && len(m.String()) < maxLine {
			t.Fatalf("written as %q: %v", m, err)
		}
		if err == nil && again.String() != m.String() {
			t.Fatalf("%q is read as %q", m, again)
		}
	})
}

// FuzzReader reads a part at once and in small pieces: the same commands, the same end, and cutting there leaves a whole
// file.
func FuzzReader(f *testing.F) {
	f.Add([]byte(cmd("MULTI") + "#TS:1\r\n" + cmd("SET", "a", "b") + cmd("EXEC") + "#understudy:own\r\n" + cmd("DEL", "a")))
	f.Add([]byte("#understudy:at " + strings.Repeat("b", 40) + " 12\r\n" + cmd("SET", "a", "b") + "\x00\x00"))
	f.Add([]byte(fmt.Sprintf("*1\r\n$%d\r\n", rand.Int64())))
	f.Fuzz(func(t *testing.T, file []byte) {
		r1, r2 := NewReader(bytes.NewReader(file), 0), NewReader(iotest{file, new(int)}, 0)
		a, erra := readAll(r1)
		b, errb := readAll(r2)
		if !slices.Equal(a, b) || erra.Error() != errb.Error() || r1.Place != r2.Place {
			t.Fatalf("%q %v %v in one piece, %q %v %v in many", a, erra, r1.Place, b, errb, r2.Place)
		}
		var torn *Truncated
		if errors.As(erra, &torn) {
			c, err := readAll(NewReader(bytes.NewReader(file[:torn.Pos]), 0))
			if !errors.Is(err, io.EOF) || !slices.Equal(a, c) {
				t.Fatalf("cut at %d: %v, %q instead of %q", torn.Pos, err, c, a)
			}
		}
	})
}

package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/understudy-db/understudy/server/listpack"
)

// timed is a file as Redis 7.4 writes it: one hash of each type whose fields have times, made from the layouts that doc.go
// draws, with a plain key behind each, so that a wrong length shows.
func timed() []byte {
	const earliest = 1_700_000_000_000
	b := AppendSelectDB(AppendMagic(nil, 12), 0)
	pair := func(b []byte, time uint64, f, v string) []byte {
		return AppendString(AppendString(AppendLen(b, time), []byte(f), false), []byte(v), true)
	}
	pack := func(items ...string) []byte {
		lp := listpack.Begin(nil)
		for _, s := range items {
			lp = listpack.AppendString(lp, []byte(s))
		}
		return listpack.Finish(lp, 0, len(items))
	}
	plain := func(b []byte, n int) []byte {
		return AppendStringEntry(b, fmt.Appendf(nil, "s%d", n), []byte("v"), false)
	}
	ms := func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, earliest) }

	b = AppendString(append(b, byte(TypeHashTimesRC)), []byte("h22"), false)
	b = plain(pair(pair(pair(AppendLen(b, 3), earliest, "a", "1"), 0, "b", "2"), earliest+500, "c", strings.Repeat("x", 100)), 22)
	b = AppendString(append(b, byte(TypeHashTimesPackRC)), []byte("h23"), false)
	b = plain(AppendString(b, pack("a", "1", "1700000000000", "b", "2", "0"), false), 23)
	b = ms(AppendString(append(b, byte(TypeHashTimes)), []byte("h24"), false))
	b = plain(pair(pair(pair(AppendLen(b, 3), 1, "a", "1"), 0, "b", "2"), 501, "c", strings.Repeat("x", 100)), 24)
	b = ms(AppendString(append(b, byte(TypeHashTimesPack)), []byte("h25"), false))
	b = plain(AppendString(b, pack("a", "1", "1700000000000", "c", "3", "1700000000500", "b", "2", "0"), false), 25)
	return AppendEOF(b, CRC64(0, b), true)
}

func TestHashesWhoseFieldsHaveTimes(t *testing.T) {
	long := strings.Repeat("x", 100)
	want := []string{
		"h22 3: a=1@1700000000000 b=2@0 c=" + long + "@1700000000500", "s22",
		"h23 2: a=1@1700000000000 b=2@0", "s23",
		"h24 3: a=1@1700000000000 b=2@0 c=" + long + "@1700000000500", "s24",
		"h25 3: a=1@1700000000000 c=3@1700000000500 b=2@0", "s25",
	}
	for fields := range 5 { // so many are read of each hash, the rest is skipped
		var got []string
		r := NewReader(iotest.HalfReader(bytes.NewReader(timed())), Limits{})
		for {
			ev, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == EOF {
				break
			}
			if ev.Kind != Entry {
				continue
			}
			text := string(ev.Key)
			if ev.IsHash() {
				text += fmt.Sprintf(" %d:", ev.Fields)
				for range fields {
					f, v, ok, err := r.NextField()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					text += fmt.Sprintf(" %s=%s@%d", f, v, r.FieldAt())
				}
			}
			got = append(got, text)
		}
		if fields == 4 && !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if len(got) != len(want) {
			t.Errorf("%d fields read of each: %v", fields, got)
		}
	}
	var c collector
	if err := split(bytes.NewReader(timed()), &c); err != nil || len(c.entries) != len(want) {
		t.Errorf("raw: %v, %d entries", err, len(c.entries))
	}
}

// TestTimesThatCannotBe: each is refused, by both readers and without a panic.
func TestTimesThatCannotBe(t *testing.T) {
	file := timed()
	for n := range file {
		if _, _, err := tryRead(bytes.NewReader(file[:n])); err == nil {
			t.Fatalf("cut to %d of %d bytes", n, len(file))
		}
	}
	head := AppendString(append(AppendMagic(nil, 12), byte(TypeHashTimes)), []byte("h"), false)
	far := append(slices.Clip(head), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
	far = AppendString(AppendString(AppendLen(AppendLen(far, 1), 2), []byte("f"), false), []byte("v"), false)
	word := listpack.Finish(listpack.AppendString(listpack.AppendString(listpack.AppendString(listpack.Begin(nil), []byte("f")), []byte("v")), []byte("soon")), 0, 3)
	two := listpack.Finish(listpack.AppendString(listpack.AppendString(listpack.Begin(nil), []byte("f")), []byte("v")), 0, 2)
	packed := func(lp []byte) []byte {
		return AppendString(AppendString(append(AppendMagic(nil, 12), byte(TypeHashTimesPackRC)), []byte("h"), false), lp, false)
	}
	for what, b := range map[string][]byte{"beyond all time": far, "a word for a time": packed(word), "no time": packed(two)} {
		_, _, err := tryRead(bytes.NewReader(append(b, opEOF, 0, 0, 0, 0, 0, 0, 0, 0)))
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestForeignParts: what modules, clusters and release candidates of Redis 7.0 put into their files.
func TestForeignParts(t *testing.T) {
	const id = 0x35ab_2c19_77de_4001 // of a module
	name := moduleName(id)
	file := func(parts ...[]byte) []byte {
		b := AppendSelectDB(AppendMagic(nil, 12), 0)
		for _, p := range parts {
			b = append(b, p...)
		}
		return AppendEOF(b, CRC64(0, b), true)
	}
	key := AppendStringEntry(nil, []byte("k"), []byte("v"), false)
	str := func(s string) []byte { return AppendString(nil, []byte(s), false) }

	slots := AppendLen(AppendLen(AppendLen([]byte{opSlotInfo}, 16383), 5), 0)
	if got, _, err := tryRead(bytes.NewReader(file(slots, key, slots))); err != nil || len(got) != 1 {
		t.Errorf("slot info: %v, %d keys", err, len(got))
	}
	for _, described := range []bool{true, false} {
		old := slices.Concat([]byte{opFunction}, str("mylib"), str("LUA"), []byte{0})
		if described {
			old = slices.Concat([]byte{opFunction}, str("mylib"), str("LUA"), []byte{1}, str("what it does"))
		}
		old = append(old, str("redis.register_function('f', function() return 1 end)")...)
		r := NewReader(bytes.NewReader(file(old, key)), Limits{})
		var code string
		for {
			ev, err := r.Next()
			if err != nil {
				t.Fatalf("an old function, described %v: %v", described, err)
			}
			if ev.Kind == Function {
				code = string(ev.Value)
			}
			if ev.Kind == EOF {
				break
			}
		}
		if want := "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"; code != want {
			t.Errorf("an old function, described %v: %q", described, code)
		}
	}
	for what, c := range map[string]struct {
		part []byte
		want string
	}{
		"a module's own data": {AppendLen(AppendLen([]byte{opModuleAux}, id), 2), "AUX module data I can't load: no matching module '" + name + "'"},
		"a module's value":    {AppendLen(append([]byte{byte(TypeModule2)}, str("m")...), id), "module data I can't load: no matching module type '" + name + "' (object type 7)"},
		"an old module value": {AppendLen(append([]byte{byte(TypeModule)}, str("m")...), id), "no matching module type '" + name + "' (object type 6)"},
		"the next type":       {append([]byte{26}, str("m")...), "unknown object type 26"},
	} {
		for way, read := range map[string]func(p []byte) error{
			"read": func(p []byte) error { _, _, err := tryRead(bytes.NewReader(p)); return err },
			"raw":  func(p []byte) error { return split(bytes.NewReader(p), &collector{}) },
		} {
			if err := read(file(c.part)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", what, way, err, c.want)
			}
		}
	}
	if len(name) != 9 {
		t.Errorf("a module's name: %q", name)
	}
}

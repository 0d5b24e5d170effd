package rdb

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
)

// membersOf reads a file of sets: for each key its members in order. With few only as many of each are read.
func membersOf(file []byte, few int) (sets map[string][]string, err error) {
	r := NewReader(bytes.NewReader(file), Limits{})
	sets = map[string][]string{}
	for {
		ev, err := r.Next()
		if err != nil || ev.Kind == EOF {
			return sets, err
		}
		key := string(ev.Key)
		sets[key] = nil
		for len(sets[key]) < few {
			m, ok, err := r.NextMember()
			if err != nil {
				return sets, err
			}
			if !ok {
				break
			}
			sets[key] = append(sets[key], string(m))
		}
	}
}

// intsetEntry is an entry of type 11 with integers of a width.
func intsetEntry(b []byte, key string, width, n uint32, ints ...int64) []byte {
	set := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, width), n)
	for _, i := range ints {
		set = append(set, binary.LittleEndian.AppendUint64(nil, uint64(i))[:width]...)
	}
	return AppendString(AppendString(append(b, byte(TypeSetIntset)), []byte(key), false), set, false)
}

func TestSets(t *testing.T) {
	samples := sampleStrings()
	b := AppendSetEntry(AppendMagic(nil, Version), []byte("plain"), len(samples), true)
	want := map[string][]string{"int16": {"-32768", "-1", "5"}, "int32": {"-2147483648", "70000"}, "int64": {"-9223372036854775808", "0"}}
	lp := listpack.Begin(nil)
	for _, s := range samples {
		b = AppendString(b, s, true)
		lp = listpack.AppendString(lp, s)
		want["plain"] = append(want["plain"], string(s))
	}
	want["packed"] = want["plain"]
	b = AppendString(AppendString(append(b, byte(TypeSetListpack)), []byte("packed"), false), listpack.Finish(lp, 0, len(samples)), true)
	b = intsetEntry(b, "int16", 2, 3, -32768, -1, 5)
	b = intsetEntry(b, "int32", 4, 2, -2147483648, 70000)
	b = intsetEntry(b, "int64", 8, 2, -1<<63, 0)
	b = AppendEOF(b, CRC64(0, b), true)
	for _, few := range []int{1 << 30, 0, 1, 3} {
		got, err := membersOf(b, few)
		if err != nil || len(got) != len(want) {
			t.Fatalf("reading %d of each: %d sets, %v", few, len(got), err)
		}
		for key, members := range want {
			if members = members[:min(few, len(members))]; !slices.Equal(got[key], members) {
				t.Errorf("reading %d of each: %s has %d members, want %d", few, key, len(got[key]), len(members))
			}
		}
	}
}

func TestDamagedSets(t *testing.T) {
	head := AppendMagic(nil, Version)
	for name, c := range map[string]struct {
		entry []byte
		want  string
	}{
		"no header": {AppendString(AppendString(append(head, byte(TypeSetIntset)), []byte("k"), false), []byte("short"), false), "no header"},
		"width":     {intsetEntry(head, "k", 3, 1, 5), "integrity check failed"},
		"count":     {intsetEntry(head, "k", 2, 9, 5), "integrity check failed"},
		"huge":      {intsetEntry(head, "k", 8, 1<<32-1, 5), "integrity check failed"},
		"listpack":  {AppendString(AppendString(append(head, byte(TypeSetListpack)), []byte("k"), false), []byte("nonsense"), false), "integrity check failed"},
		"truncated": {AppendSetEntry(head, []byte("k"), 1000, false), "EOF"},
	} {
		_, err := membersOf(c.entry, 1<<30)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
}

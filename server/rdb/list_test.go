package rdb

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
)

// elementsOf reads a file of lists: for each key its elements. With few only as many of each are read.
func elementsOf(file []byte, few int) (lists map[string][]string, err error) {
	r := NewReader(bytes.NewReader(file), Limits{})
	lists = map[string][]string{}
	for {
		ev, err := r.Next()
		if err != nil || ev.Kind == EOF {
			return lists, err
		}
		key := string(ev.Key)
		lists[key] = nil
		for len(lists[key]) < few {
			e, ok, err := r.NextElement()
			if err != nil {
				return lists, err
			}
			if !ok {
				break
			}
			lists[key] = append(lists[key], string(e))
		}
	}
}

func packedElements(elems ...[]byte) []byte {
	lp := listpack.Begin(nil)
	for _, e := range elems {
		lp = listpack.AppendString(lp, e)
	}
	return listpack.Finish(lp, 0, len(elems))
}

// entryOf begins an entry of a type with a count behind its key.
func entryOf(b []byte, t Type, key string, n int) []byte {
	return AppendLen(AppendString(append(b, byte(t)), []byte(key), false), uint64(n))
}

func TestLists(t *testing.T) {
	samples := sampleStrings()
	half := len(samples) / 2
	b := AppendMagic(nil, Version)
	b = AppendListEntry(b, []byte("nodes"), 3, true)
	b = AppendString(AppendPackedNode(b), packedElements(samples[:half]...), true)
	b = AppendString(AppendPlainNode(b), []byte("plain"), true)
	b = AppendString(AppendPackedNode(b), packedElements(samples[half:]...), true)
	b = entryOf(b, TypeList, "strings", len(samples))
	for _, s := range samples {
		b = AppendString(b, s, true)
	}
	b = AppendString(AppendString(append(b, byte(TypeListZiplist)), []byte("ziplist"), false), ziplist(samples...), true)
	b = entryOf(b, TypeListQuicklist, "ziplists", 3)
	b = AppendString(b, ziplist(samples[:half]...), true)
	b = AppendString(b, ziplist(), false)
	b = AppendString(b, ziplist(samples[half:]...), true)
	b = AppendEOF(b, CRC64(0, b), true)
	want := map[string][]string{}
	for i, s := range samples {
		if i == half {
			want["nodes"] = append(want["nodes"], "plain")
		}
		for _, key := range []string{"nodes", "strings", "ziplist", "ziplists"} {
			want[key] = append(want[key], string(s))
		}
	}
	for _, few := range []int{1 << 30, 0, 1, half + 1} {
		got, err := elementsOf(b, few)
		if err != nil || len(got) != len(want) {
			t.Fatalf("reading %d of each: %d lists, %v", few, len(got), err)
		}
		for key, elems := range want {
			if elems = elems[:min(few, len(elems))]; !slices.Equal(got[key], elems) {
				t.Errorf("reading %d of each: %s has %d elements, want %d", few, key, len(got[key]), len(elems))
			}
		}
	}
}

func TestDamagedLists(t *testing.T) {
	head := slices.Clip(AppendMagic(nil, Version))
	node := func(container int, value []byte) []byte {
		return AppendString(AppendLen(entryOf(head, TypeListQuicklist2, "k", 1), uint64(container)), value, false)
	}
	for name, c := range map[string]struct {
		entry []byte
		want  string
	}{
		"container": {node(3, packedElements([]byte("a"))), "neither plain nor packed"},
		"empty":     {node(nodePlain, nil), "plain node is empty"},
		"size":      {node(nodePacked, []byte("nonsense")), "integrity check failed"},
		"element":   {node(nodePacked, []byte("\x08\x00\x00\x00\x01\x00\xe0\xff")), "integrity check failed"},
		"ziplist":   {AppendString(entryOf(head, TypeListQuicklist, "k", 1), packedElements([]byte("a")), false), "integrity check failed"},
		"truncated": {entryOf(head, TypeList, "k", 1000), "EOF"},
		"nodes":     {entryOf(head, TypeListQuicklist2, "k", 1<<31), "EOF"},
	} {
		_, err := elementsOf(c.entry, 1<<30)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %q", name, err, c.want)
		}
	}
}

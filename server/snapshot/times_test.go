package snapshot

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// TestFieldsWithTimes: those whose time has passed are left out, the others stay without it, and both are counted; a hash of
// which nothing is left is no key.
func TestFieldsWithTimes(t *testing.T) {
	const now = 1_700_000_000_000
	entry := func(b []byte, key string, times ...uint64) []byte { // relative to a second before now; 0 for none
		b = rdb.AppendString(append(b, byte(rdb.TypeHashTimes)), []byte(key), false)
		b = rdb.AppendLen(binary.LittleEndian.AppendUint64(b, now-1000), uint64(len(times)))
		for i, at := range times {
			f := []byte{byte('a' + i)}
			b = rdb.AppendString(rdb.AppendString(rdb.AppendLen(b, at), f, false), f, false)
		}
		return b
	}
	b := rdb.AppendSelectDB(rdb.AppendMagic(nil, 12), 0)
	b = entry(b, "mixed", 1, 0, 1001, 1002) // a second ago, never, now, in a moment
	b = entry(b, "gone", 1, 2)
	b = rdb.AppendStringEntry(b, []byte("s"), []byte("v"), false)
	b = rdb.AppendEOF(b, rdb.CRC64(0, b), true)
	for _, workers := range []int{1, 2} {
		st := store.New(store.Options{})
		meta, _, err := Load(bytes.NewReader(b), st, LoadOptions{Now: now, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		h, _, _ := st.DB(0).Hash([]byte("mixed"), now)
		var fields []string
		h.Each(func(f, _ []byte) bool { fields = append(fields, string(f)); return true })
		if got := strings.Join(fields, ""); got != "bd" || st.DB(0).Len() != 2 {
			t.Errorf("%d workers: fields %q, %d keys", workers, got, st.DB(0).Len())
		}
		if meta.Timed != (TimedFields{Kept: 1, Expired: 4}) || meta.Empty != 1 || meta.Keys != 2 {
			t.Errorf("%d workers: %+v", workers, meta)
		}
		if text := meta.Timed.Warning(); !strings.Contains(text, "1 fields stay") || !strings.Contains(text, "4 that had expired") {
			t.Errorf("warning %q", text)
		}
	}
	if text := (TimedFields{}).Warning(); text != "" {
		t.Errorf("a warning of nothing: %q", text)
	}
	value := entry(nil, "", 1)
	value = append(value[:1], value[2:]...) // as DUMP gives it, without a key
	st := store.New(store.Options{})
	if err := ReadValue(st, st.DB(0), []byte("k"), value); err == nil || st.DB(0).Len() != 0 {
		t.Errorf("RESTORE: %v", err)
	}
}

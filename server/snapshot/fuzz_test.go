package snapshot

import (
	"bytes"
	"testing"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// FuzzLoad: no file, however damaged, makes the loader panic or believe what it announces: what is in the store afterwards
// came out of the bytes that were read.
func FuzzLoad(f *testing.F) {
	b := rdb.AppendMagic(nil, rdb.Version)
	b = rdb.AppendStringEntry(b, []byte("k"), []byte("v"), false)
	f.Add(rdb.AppendEOF(b, rdb.CRC64(0, b), true))
	f.Add(append(append([]byte(nil), b...), 0xfb, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0x40, 0xff, 0xff))
	f.Add(append(append([]byte(nil), b...), 4, 1, 'h', 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 1, 'f', 1, 'v'))
	f.Add(append(append([]byte(nil), b...), 0xfe, 15, 0xfc, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 1, 'x', 0xc0, 7))
	f.Add(rdb.AppendEOF(rdb.AppendHashListpackEntry(b[:len(b):len(b)], []byte("h"), listpack.Finish(listpack.AppendString(
		listpack.AppendString(listpack.Begin(nil), []byte("f")), []byte("300")), 0, 2), false), 0, false))
	for _, set := range []string{"\x02\x01s\x02\x01a\x01b", "\x02\x01s\x00", "\x02\x01s\x81\x00\x01\x00\x00\x00\x00\x00\x00\x01a",
		"\x0b\x01s\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x05\x00", "\x0b\x01s\x08\x08\x00\x00\x00\xff\xff\xff\xff", "\x14\x01s\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff"} {
		f.Add(append(append([]byte(nil), b...), set+"\xff"...))
	}
	f.Add(streamFile(rdb.TypeStreamListpacks))
	f.Add(streamFile(rdb.TypeStreamListpacks3))
	f.Fuzz(func(t *testing.T, file []byte) {
		st := store.New(store.Options{})
		meta, _, err := Load(bytes.NewReader(file), st, LoadOptions{Now: 1, NoChecksum: true})
		keys := 0
		for i := range st.Databases() {
			keys += st.DB(i).Len()
		}
		if keys > meta.Keys || err == nil && meta.Keys > len(file) {
			t.Fatalf("%d keys in the store, %d counted, %d bytes", keys, meta.Keys, len(file))
		}
		useStreams(st)
	})
}

package rdb

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestEveryVersion from the first to the last that is read: the seconds of old expiries, and the checksum that the fifth began.
func TestEveryVersion(t *testing.T) {
	for v := 1; v <= 12; v++ {
		for _, c := range []struct {
			name    string
			end     func(b []byte) []byte
			refused string // "" means that it is read
		}{
			{"checksum", func(b []byte) []byte { return AppendEOF(b, CRC64(0, b), true) }, ""},
			{"no checksum", func(b []byte) []byte { return append(b, opEOF, 0, 0, 0, 0, 0, 0, 0, 0) }, ""},
			{"wrong checksum", func(b []byte) []byte { return append(b, opEOF, 1, 2, 3, 4, 5, 6, 7, 8) }, "wrong checksum"},
			{"end without checksum", func(b []byte) []byte { return append(b, opEOF) }, "the stream ends early"},
		} {
			b := AppendSelectDB(append([]byte(nil), fmt.Sprintf("REDIS%04d", v)...), 2)
			want := record{db: 2, key: "k", typ: "string", value: "v", expire: 0x7F000000 * 1000}
			if v < 3 {
				b = append(b, opExpire, 0, 0, 0, 0x7F)
			} else {
				b = append(b, opExpireMS, 0xe8, 3, 0, 0, 0, 0, 0, 0)
				want.expire = 1000
			}
			b = c.end(AppendStringEntry(b, []byte("k"), []byte("v"), false))
			got, _, err := tryRead(bytes.NewReader(b))
			if v < 5 && c.name != "checksum" { // there is none: what follows is not of the file
				c.refused = ""
			}
			switch {
			case c.refused == "" && (err != nil || texts(got) != texts([]record{want})):
				t.Errorf("version %d, %s: %v %s", v, c.name, err, texts(got))
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("version %d, %s: %v, want %q", v, c.name, err, c.refused)
			}
		}
	}
	for _, v := range []string{"0000", "0013", "00x1"} {
		if _, _, err := tryRead(strings.NewReader("REDIS" + v + "\xff\x00\x00\x00\x00\x00\x00\x00\x00")); err == nil {
			t.Errorf("version %s is read", v)
		}
	}
}

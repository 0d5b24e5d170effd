package aof

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

// TestTailIsReadAsAFile writes tails with and without a known database, and reads them as parts of an append-only file.
func TestTailIsReadAsAFile(t *testing.T) {
	stream := resp.AppendCommandStrings(resp.AppendCommandStrings(nil, "SET", "k", "v"), "PING")
	for db, want := range map[int]string{3: "SELECT 3,SET k v,PING", -1: "SET k v,PING"} {
		var file bytes.Buffer
		if err := WriteTail(&file, "1 writes", db, stream); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(file.String(), "# understudy: 1 writes\r\n") {
			t.Errorf("it begins with %.40q", file.String())
		}
		r := NewReader(&file, 0)
		cmds, err := r.Batch()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cmds {
			got = append(got, string(bytes.Join(c, []byte(" "))))
		}
		if text := strings.Join(got, ","); text != want {
			t.Errorf("database %d: %s, want %s", db, text, want)
		}
		if _, err := r.Batch(); !errors.Is(err, io.EOF) {
			t.Errorf("behind it: %v", err)
		}
	}
}

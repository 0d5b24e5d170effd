package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
)

// TestShow prints what a file of writes holds, whole and torn.
func TestShow(t *testing.T) {
	file := []byte("# understudy: 2 writes\r\n")
	for _, words := range [][]string{{"DEL", "before"}, {"SELECT", "3"}, {"SET", "k", "a \"b\"\r\n\x00"}, {"PING"}, {"set", "big", strings.Repeat("x", 300)}} {
		file = resp.AppendCommandStrings(file, words...)
	}
	whole := `# understudy: 2 writes
[?] "DEL" "before"
[3] "SELECT" "3"
[3] "SET" "k" "a \"b\"\r\n\x00"
[3] "PING"
[3] "set" "big" "` + strings.Repeat("x", 256) + `"... (300 bytes)
# 5 commands: 1 DEL, 1 PING, 1 SELECT, 2 SET
`
	firstOf, _, _ := strings.Cut(whole, "[3] \"set\"")
	torn := firstOf + "# 4 commands: 1 DEL, 1 PING, 1 SELECT, 1 SET\n"
	for _, c := range []struct {
		name string
		file []byte
		out  string
		err  string
	}{
		{"whole", file, whole, ""},
		{"torn", file[:len(file)-10], torn, fmt.Sprint("Unexpected end of file after byte ", bytes.Index(file, []byte("*3\r\n$3\r\nset")))},
		{"an RDB", []byte("REDIS0010\xfa"), "# 0 commands\n", "Bad file format at byte 0"},
		{"empty", nil, "# 0 commands\n", ""},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, bad bytes.Buffer
		code := Main([]string{"--show", path}, strings.NewReader(""), &out, &bad)
		if out.String() != c.out || (code != 0) != (c.err != "") || !strings.Contains(bad.String(), c.err) {
			t.Errorf("%s: code %d, errors %q, and\n%s\nwant\n%s", c.name, code, bad.String(), out.String(), c.out)
		}
	}
	var out, bad bytes.Buffer
	if code := Main([]string{"--show", filepath.Join(t.TempDir(), "none")}, strings.NewReader(""), &out, &bad); code != 1 || !strings.Contains(bad.String(), "no such file") {
		t.Errorf("a file that is not there: %d %q", code, bad.String())
	}
}

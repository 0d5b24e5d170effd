package diff

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// patience is how long a test waits for what has to come: far longer than a busy machine takes.
const patience = time.Minute

// Stream reads a server's replication stream as a replica would.
type Stream struct {
	t    testing.TB
	conn net.Conn
	r    *resp.Reader
}

// OpenStream asks for a full transfer, drops it, and is ready to read commands.
func OpenStream(t testing.TB, network, address string) *Stream {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &Stream{t: t, conn: conn}
	buf := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "SYNC\r\n"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	header := ""
	for header == "" || header == "\n" { // empty lines keep the link alive meanwhile
		if header, err = buf.ReadString('\n'); err != nil {
			t.Fatalf("SYNC: %v", err)
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(header, "$")))
	if err != nil {
		t.Fatalf("SYNC: unexpected header %q", header)
	}
	if _, err := io.CopyN(io.Discard, buf, int64(n)); err != nil {
		t.Fatalf("SYNC: %v", err)
	}
	s.r = resp.NewReader(buf)
	return s
}

// Until returns the commands up to a marker: a SET of the given key, which is left out.
func (s *Stream) Until(marker string) [][]string {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(patience))
	var list [][]string
	for {
		v, err := s.r.Read()
		if err != nil {
			s.t.Fatalf("the stream ended: %v", err)
		}
		var words []string
		for _, w := range v.Elems {
			words = append(words, string(w.Str))
		}
		if len(words) > 1 && strings.EqualFold(words[0], "SET") && words[1] == marker {
			return list
		}
		if len(words) > 0 && !strings.EqualFold(words[0], "PING") {
			list = append(list, words)
		}
	}
}

// WithDB replaces SELECT by a database number in front of every command.
func WithDB(list [][]string) [][]string {
	var out [][]string
	db := "?"
	for _, words := range list {
		switch strings.ToUpper(words[0]) {
		case "SELECT":
			db = words[1]
		case "MULTI", "EXEC":
			out = append(out, words)
		default:
			out = append(out, append([]string{db}, words...))
		}
	}
	return out
}

// DiffEffects compares two streams and describes the first difference; empty when there is none.
func DiffEffects(real, ours [][]string) string {
	a, b := WithDB(withoutFailures(real)), WithDB(withoutFailures(asOldest(ours)))
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("effect %d: ours has %q more", i, b[i])
		case i >= len(b):
			return fmt.Sprintf("effect %d: ours lacks %q", i, a[i])
		}
		x, y := a[i], b[i]
		if len(x) > 1 && len(y) > 1 && x[0] == y[0] {
			x, y = x[1:], y[1:]
		}
		if !SameEffect(x, y) {
			return fmt.Sprintf("effect %d: redis-server propagates %q, ours %q", i, a[i], b[i])
		}
	}
	return ""
}

// KeptToItself tells that a command may change something in redis-server 7.0 of which its replicas hear nothing: BITFIELD with
// OVERFLOW FAIL, in a script too, lengthens the string even where all of its writes overflow, and only writes that were done are
// propagated.
func KeptToItself(words []string) bool {
	has := func(word string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
	}
	return has("bitfield") && has("fail")
}

// withoutFailures leaves out what redis-server keeps to itself. That our replicas have what the master has is for TestReplicas to see.
func withoutFailures(list [][]string) [][]string {
	var out [][]string
	for _, words := range list {
		if KeptToItself(words) {
			continue
		}
		out = append(out, words)
		last := len(out) - 1
		switch { // what is left of a transaction
		case words[0] == "EXEC" && last > 0 && out[last-1][0] == "MULTI":
			out = out[:last-1]
		case words[0] == "EXEC" && last > 1 && out[last-2][0] == "MULTI":
			out = append(out[:last-2], out[last-1])
		}
	}
	return out
}

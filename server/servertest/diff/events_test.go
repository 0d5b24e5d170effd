package diff

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// subscribe listens to a server's keyevent notifications; the returned function reads those up to the next message on
// the channel "mark".
func subscribe(t *testing.T, sock string) func() []string {
	t.Helper()
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "PSUBSCRIBE __keyevent@*\r\nSUBSCRIBE mark\r\n")
	r := resp.NewReader(conn)
	for range 2 {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	return func() (events []string) {
		conn.SetReadDeadline(time.Now().Add(patience))
		for {
			v, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if string(v.Elems[0].Str) == "message" {
				return events
			}
			db, event, _ := strings.Cut(strings.TrimPrefix(string(v.Elems[2].Str), "__keyevent@"), "__:")
			events = append(events, fmt.Sprintf("%s %s %q", db, event, v.Elems[3].Str))
		}
	}
}

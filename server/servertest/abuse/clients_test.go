package abuse

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestListOfManyClients: CLIENT LIST of very many tells of each of them, in order, in pieces and in a transaction alike.
func TestListOfManyClients(t *testing.T) {
	s := servertest.Start(t)
	ids := map[int]bool{}
	for range 300 {
		c := servertest.Dial(t, s.Port(), "")
		defer c.Close()
		ids[int(c.Do("CLIENT", "ID").Int)] = true
	}
	line := regexp.MustCompile(`^id=(\d+) addr=127\.0\.0\.1:\d+ .* cmd=[a-z|]+ user=default redir=-1 resp=[23] `)
	check := func(what, text string) {
		t.Helper()
		seen, last := 0, 0
		for _, l := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "txt:"), "\n"), "\n") {
			m := line.FindStringSubmatch(l)
			if m == nil {
				t.Fatalf("%s: a line is %q", what, l)
			}
			id, _ := strconv.Atoi(m[1])
			if id <= last {
				t.Fatalf("%s: client %d comes behind %d", what, id, last)
			}
			if last = id; ids[id] {
				seen++
			}
		}
		if seen != len(ids) {
			t.Errorf("%s: %d clients of %d", what, seen, len(ids))
		}
	}
	for _, version := range []string{"2", "3"} {
		s.Do("HELLO", version)
		check("RESP"+version, string(s.Do("CLIENT", "LIST").Str))
		check("RESP"+version+" TYPE", string(s.Do("CLIENT", "LIST", "TYPE", "normal").Str))
		s.Must("MULTI")
		s.Do("CLIENT", "LIST")
		check("RESP"+version+" EXEC", string(s.Do("EXEC").Elems[0].Str))
	}
	if begun, _ := s.Engine.LongReads(); begun != 4 {
		t.Errorf("%d lists went on after their handlers", begun)
	}
	if v := s.Do("CLIENT", "LIST", "ID", "1", "999999"); strings.Count(string(v.Str), "\n") != 1 {
		t.Errorf("CLIENT LIST ID gives %q", v.Str)
	}
}

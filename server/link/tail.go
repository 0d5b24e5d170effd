package link

import (
	"bytes"
	"fmt"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
)

// Tail is what the log holds behind an offset, up to its end.
type Tail struct {
	Stream []byte // whole commands, as replicas would have got them
	DB     int    // in which the first of them is executed; oplog.NoDB when nothing tells
	Writes int    // how many of them change data
}

// lookBack is how far before the tail its database is looked for.
const lookBack = 1 << 20

// Tail reads what the log still holds behind offset from, which must lie between two commands. An error says what is
// missing. The engine's lock must not be held.
func (n *Node) Tail(from int64) (Tail, error) {
	window, selected, err := n.readLog(from)
	if err != nil {
		return Tail{}, err
	}
	cut := len(window) - int(n.log.Offset()-from)
	if cut < 0 {
		return Tail{}, fmt.Errorf("the log moves: it is read while something is applied")
	}
	before, t := window[:cut], Tail{Stream: window[cut:]}
	list, end := commands(t.Stream)
	if end != len(t.Stream) {
		return Tail{}, fmt.Errorf("offset %d is not between two commands", from)
	}
	selects := false
	for _, c := range list {
		selects = selects || is(c[0], "SELECT")
		if changesData(c) {
			t.Writes++
		}
	}
	t.DB = selected // of the last command, and of all when there is no SELECT
	if db, ok := lastSelect(before); ok {
		t.DB = db
	} else if selects {
		t.DB = oplog.NoDB
	}
	return t, nil
}

// readLog copies the log from a little before from to its end. selected is the database of the last effect.
func (n *Node) readLog(from int64) (window []byte, selected int, err error) {
	n.e.Shared(func() { selected = n.log.Selected() })
	b := n.log.Backlog()
	if !b.Active || from < b.FirstByte-1 || from > n.log.Offset() {
		return nil, 0, fmt.Errorf("the backlog (repl-backlog-size %d) holds offsets from %d on", b.Size, b.FirstByte)
	}
	c, err := n.log.Replica(max(b.FirstByte-1, from-lookBack))
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	for {
		parts, err := c.Read(nil, 1<<20)
		if err != nil || len(parts) == 0 {
			return window, selected, err
		}
		was := len(window)
		window = append(window, bytes.Join(parts, nil)...)
		c.Advance(len(window) - was)
	}
}

// commands parses as many whole commands as p begins with, none of them inline; end is where the last one ends.
func commands(p []byte) (list [][][]byte, end int) {
	parser := resp.Parser{MaxBulk: -1}
	for end < len(p) && p[end] == '*' {
		args, used, err := parser.Next(p[end:], nil)
		if err != nil || used == 0 {
			break
		}
		end += used
		if len(args) > 0 {
			list = append(list, args)
		}
	}
	return list, end
}

func changesData(c [][]byte) bool {
	for _, word := range []string{"PING", "SELECT", "MULTI", "EXEC", "REPLCONF", "PUBLISH", "SPUBLISH"} {
		if is(c[0], word) {
			return false
		}
	}
	return true
}

var selectHead = []byte("*2\r\n$6\r\nSELECT\r\n")

// lastSelect is the database that is selected where p ends. p may begin in the midst of a command, so a SELECT counts only
// if whole commands lead from it to the end: a value that looks like one does not.
func lastSelect(p []byte) (db int, ok bool) {
	for at := bytes.LastIndex(p, selectHead); at >= 0; at = bytes.LastIndex(p[:at], selectHead) {
		list, end := commands(p[at:])
		if end != len(p)-at {
			continue
		}
		for _, c := range list {
			if is(c[0], "SELECT") && len(c) == 2 {
				if n, isInt := resp.ParseInt(c[1]); isInt {
					db, ok = int(n), true
				}
			}
		}
		if ok {
			return db, true
		}
	}
	return 0, false
}

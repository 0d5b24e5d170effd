package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
)

func TestApplierExecutesWithoutPropagation(t *testing.T) {
	b := newBench(t)
	b.e.SetState(Replica|ReadOnly, 0)
	a := b.e.NewApplier("master")
	defer a.Close()
	var cmds [][][]byte
	for _, line := range []string{"SELECT 2", "SET a 1 PX 1", "MULTI", "INCR n", "INCR n", "EXEC", "PING", "NOSUCH x", "INCR a"} {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		cmds = append(cmds, args)
	}
	last := 0
	var problems []string
	a.Apply(cmds, func(done int) { last = done }, func(err *StreamError) { problems = append(problems, err.Command) })
	want(t, fmt.Sprint(last, problems), "9 [NOSUCH]")
	want(t, b.stream(), "")
	c := b.client()
	want(t, b.run(c, "SELECT 2", "GET n"), "+OK\r\n$1\r\n2\r\n")
	// The stream sees the key that clients do not see any more, and it stays until the master deletes it.
	time.Sleep(5 * time.Millisecond)
	a.Apply([][][]byte{{[]byte("INCR"), []byte("a")}}, nil, nil)
	want(t, b.run(c, "GET a"), "$-1\r\n")
	if e, ok := b.e.Store().DB(2).Peek([]byte("a")); !ok || e.StrLen() != 1 {
		t.Fatal("a replica deleted an expired key on its own")
	}
	if a.DB() != 2 {
		t.Fatalf("selected database %d", a.DB())
	}
}

func TestApplierNeverCutsATransaction(t *testing.T) {
	b := newBench(t)
	a := b.e.NewApplier("master")
	defer a.Close()
	var cmds [][][]byte
	add := func(words ...string) {
		var args [][]byte
		for _, w := range words {
			args = append(args, []byte(w))
		}
		cmds = append(cmds, args)
	}
	inside := map[int]bool{}
	for i := range 20 {
		add("SET", "k", fmt.Sprint(i))
		add("MULTI")
		for range 100 {
			inside[len(cmds)] = true
			add("INCR", "n")
		}
		inside[len(cmds)] = true
		add("EXEC")
	}
	holds := 0
	a.Apply(cmds, func(done int) {
		holds++
		if inside[done] {
			t.Fatalf("a hold ended inside a transaction, after %d commands", done)
		}
	}, nil)
	if holds < 2 {
		t.Fatal("the test needs more than one hold")
	}
}

// TestWritableReplicasOwnWritesGoToTheFileOnly, in their database, and the file goes on in that of the master's stream.
func TestWritableReplicasOwnWritesGoToTheFileOnly(t *testing.T) {
	b := newBench(t)
	b.e.SetState(Replica, ReadOnly)
	file := b.e.Log.File()
	a := b.e.NewApplier("master")
	defer a.Close()
	apply := func(line string) {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		raw := resp.AppendCommand(nil, args...)
		a.Apply([][][]byte{args}, func(int) { b.e.Log.Append(raw, oplog.ToAll) }, nil)
	}
	apply("SELECT 2")
	apply("SET a 1")
	offset := b.e.Log.Offset()
	c := b.client()
	b.run(c, "SELECT 5", "SET own 1", "MULTI", "SET own 2", "SET own2 3", "EXEC", "SELECT 2", "SET own 4")
	if got := b.e.Log.Offset(); got != offset {
		t.Errorf("own writes moved the offset from %d to %d", offset, got)
	}
	apply("SET b 1")
	pieces, _, err := file.Whole(nil)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, p := range pieces {
		text = append(text, p.Data...)
	}
	var lines []string
	parser := resp.Parser{}
	for len(text) > 0 {
		args, n, err := parser.Next(text, nil)
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		lines = append(lines, string(bytes.Join(args, []byte(" "))))
		text = text[n:]
	}
	want(t, strings.Join(lines, "; "), "SELECT 2; SET a 1; SELECT 5; SET own 1; SELECT 2; SELECT 5; MULTI; SET own 2; SET own2 3; EXEC; SELECT 2; SET own 4; SET b 1")
}

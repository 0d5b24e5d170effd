package transport

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// TestLongValuesComeInAnyPieces sends pipelines of values of all sizes, cut at random places, and compares what is kept.
func TestLongValuesComeInAnyPieces(t *testing.T) {
	r := newRig(t, rigOptions{})
	rnd := rand.New(rand.NewSource(1))
	sizes := []int{1, 100, 600, 1 << 10, 4000, 15 << 10, 16 << 10, 16<<10 + 100, 64 << 10, 127 << 10, 129 << 10, 1 << 20}
	for round := range 60 {
		c := dial(t, r.addr)
		most := len(sizes)
		if round%2 == 0 {
			most -= 3 // none that is read into a buffer of its own from the start
		}
		var sent []byte
		var values [][]byte
		for len(sent) < 1<<20 {
			v := bytes.Repeat([]byte{byte('a' + rnd.Intn(26))}, sizes[rnd.Intn(most)]+rnd.Intn(3))
			rnd.Read(v[:min(len(v), 8)])
			sent = resp.AppendCommand(sent, []byte("SET"), fmt.Appendf(nil, "k%d", len(values)), v)
			values = append(values, v)
		}
		go func() {
			piece := []int{3000, 16 << 10, 40 << 10, 1 << 20}[round%4]
			for i := 0; len(sent) > 0; i++ {
				n := min(1+rnd.Intn(piece), len(sent))
				if _, err := c.Write(sent[:n]); err != nil {
					return // the reader tells
				}
				if sent = sent[n:]; i%8 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}()
		for i := range values {
			if v, err := c.r.Read(); err != nil || v.String() != "OK" {
				t.Fatalf("round %d: SET %d of %d bytes: %v, %v", round, i, len(values[i]), v, err)
			}
		}
		for i, want := range values {
			c.send("GET", fmt.Sprintf("k%d", i))
			if v, err := c.r.Read(); err != nil || !bytes.Equal(v.Str, want) {
				t.Fatalf("round %d: key %d has %d bytes, of %d that were sent, or others: %v", round, i, len(v.Str), len(want), err)
			}
		}
		c.Close()
	}
}

// TestPipelinesAreReadAtOnce sends batches that are a little longer than one read of a connection about which nothing is
// known: once the loop has met such a batch it reads the next ones whole, though it was the end of one that it read last.
func TestPipelinesAreReadAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	var batch []byte
	for i := range 16 {
		batch = resp.AppendCommand(batch, []byte("SET"), fmt.Appendf(nil, "k%d", i), make([]byte, 1<<10))
	}
	if len(batch) < readSize || len(batch) > readSize+readSize/4 {
		t.Fatalf("a batch of %d bytes does not test what it should", len(batch))
	}
	const batches = 100
	l := r.server.loops[0]
	before := l.moved.reads.Load()
	for range batches {
		c.raw(string(batch))
		for range 16 {
			if v, err := c.r.Read(); err != nil || v.String() != "OK" {
				t.Fatal(v, err)
			}
		}
	}
	// The kernel may cut a batch in its own way now and then.
	if n := l.moved.reads.Load() - before; n > batches*3/2 {
		t.Errorf("%d reads for %d batches", n, batches)
	}
}

// mappings counts those of this process that have n bytes, rounded up to pages.
func mappings(t *testing.T, n int) (count int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	n = (n + 4095) &^ 4095
	for line := range strings.Lines(string(text)) {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil && to-from == uint64(n) {
			count++
		}
	}
	return count
}

// TestHugeCommandsLeaveNothing sends commands that are longer than what a loop keeps of buffers: whole, with two such arguments, with more
// behind them, and half before the connection is cut. Their memory is given back.
func TestHugeCommandsLeaveNothing(t *testing.T) {
	const huge = mappedFrom + 12345
	r := newRig(t, rigOptions{})
	value, other := make([]byte, huge), make([]byte, huge+54321)
	rnd := rand.New(rand.NewSource(1))
	rnd.Read(value)
	rnd.Read(other)
	first := resp.AppendCommand(nil, []byte("SET"), []byte("k"), value)
	both := resp.AppendCommand(nil, []byte("MSET"), []byte("k"), other, []byte("l"), value)
	c := dial(t, r.addr)
	sent := slices.Concat(first, both, []byte("PING\r\n"), resp.AppendCommand(nil, []byte("STRLEN"), []byte("l")), first[:huge/2])
	go func() { _, _ = c.Write(sent) }() // the reader tells
	for _, want := range []string{"OK", "OK", "PONG", fmt.Sprintf("(integer) %d", huge)} {
		if v, err := c.r.Read(); err != nil || v.String() != want {
			t.Fatalf("%.100s, %v: want %s", v.String(), err, want)
		}
	}
	for key, want := range map[string][]byte{"k": other, "l": value} {
		d := dial(t, r.addr)
		d.send("GET", key)
		if v, err := d.r.Read(); err != nil || !bytes.Equal(v.Str, want) {
			t.Errorf("%s has %d bytes, of %d that were sent, or others: %v", key, len(v.Str), len(want), err)
		}
		d.Close()
	}
	whole := len("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$33566777\r\n") + huge + 2
	buffers := func(n int) {
		t.Helper()
		await(t, fmt.Sprintf("%d buffers of the half command", n), func() bool { return mappings(t, whole) == n })
	}
	buffers(1)
	c.Close()
	buffers(0)
	for n := len(both) - 4096; n <= len(both); n++ {
		if mappings(t, n) != 0 {
			t.Fatalf("the buffer of MSET, %d bytes, is still there", n)
		}
	}
}

// TestLongestArgumentChangesAtOnce: proto-max-bulk-len counts for connections that are there, and for what stands behind CONFIG SET.
func TestLongestArgumentChangesAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	c.send("PING")
	if v, err := c.r.Read(); err != nil || v.String() != "PONG" {
		t.Fatal(v, err)
	}
	limit := func(n int) []byte {
		return resp.AppendCommandStrings(nil, "CONFIG", "SET", "proto-max-bulk-len", fmt.Sprint(n))
	}
	long := resp.AppendCommand(nil, []byte("SET"), []byte("k"), make([]byte, 3<<20))
	for round, part := range []struct {
		send []byte
		want []string
	}{
		{slices.Concat(limit(2<<20), limit(4<<20), long, limit(2<<20)), []string{"OK", "OK", "OK", "OK"}},
		{long, []string{"(error) ERR Protocol error: invalid bulk length"}},
	} {
		go func() { _, _ = c.Write(part.send) }() // the reader tells
		for i, want := range part.want {
			if v, err := c.r.Read(); err != nil || v.String() != want {
				t.Fatalf("part %d, reply %d: %s, %v", round, i, v, err)
			}
		}
	}
}

// TestSpareBuffersAreBounded checks what a loop keeps, and that it does not hand out buffers that are much too big.
func TestSpareBuffersAreBounded(t *testing.T) {
	var s spares
	held := func() (n int) {
		for _, b := range s.list {
			n += cap(b)
		}
		return n
	}
	for i := range 300 {
		s.put(make([]byte, 10, 5<<10+i<<12))
		if n := held(); n != s.bytes || n > spareBytes || len(s.list) > spareBuffers {
			t.Fatalf("%d buffers of %d bytes are kept, counted as %d", len(s.list), n, s.bytes)
		}
	}
	s = spares{}
	s.put(make([]byte, 10, 64<<10))
	for _, n := range []int{65 << 10, 1 << 10, 31 << 10} {
		if b := s.take(n); b != nil {
			t.Errorf("a buffer of %d bytes was given for %d", cap(b), n)
		}
	}
	if b := s.take(40 << 10); cap(b) != 64<<10 || len(b) != 0 || s.bytes != 0 {
		t.Errorf("a buffer of %d bytes, %d of them in use; %d bytes are kept", cap(b), len(b), s.bytes)
	}

	s = spares{}
	for range 10 {
		s.put(make([]byte, 0, 64<<10))
	}
	s.trim()
	for range 4 { // of ten, no more than four were needed at once
		if s.take(64<<10) == nil {
			t.Fatal("buffers of a second ago are gone")
		}
	}
	for range 4 {
		s.put(make([]byte, 0, 64<<10))
	}
	if s.trim(); len(s.list) != 4 {
		t.Errorf("%d buffers stay, 4 were used", len(s.list))
	}
	s.trim()
	if s.trim(); len(s.list) != 0 || s.bytes != 0 {
		t.Errorf("%d buffers stay though nobody uses any", len(s.list))
	}
}

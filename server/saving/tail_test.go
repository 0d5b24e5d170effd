package saving

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
)

// streamFrom is what a replica at offset would get.
func (b *bench) streamFrom(offset int64) []byte {
	b.t.Helper()
	c, err := b.log.Replica(offset)
	if err != nil {
		b.t.Fatalf("from %d of %+v: %v", offset, b.log.Backlog(), err)
	}
	defer c.Close()
	pieces, err := c.Read(nil, 1<<30)
	if err != nil {
		b.t.Fatal(err)
	}
	return bytes.Join(pieces, nil)
}

func (b *bench) ping() {
	b.e.Exclusive(func() { b.e.Propagate(-1, oplog.ToReplicas, []byte("PING")) })
}

// own puts a write into the file alone, as one of a writable replica is.
func (b *bench) own(words ...string) {
	b.e.Exclusive(func() {
		b.log.Append([]byte("*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"), oplog.ToFile)
		b.log.Append([]byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n", len(words[0]), words[0])), oplog.ToFile)
		b.log.Append([]byte("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"), oplog.ToFile)
	})
}

// TestReplicasBehindARestartedMasterContinue fails the power at every call on the file system while a replica takes the stream.
// Whatever that replica had of it, as long as the master has no less, the master gives it the rest, to the byte.
func TestReplicasBehindARestartedMasterContinue(t *testing.T) {
	dir := t.TempDir()
	for at := 0; ; at++ {
		mem := fsys.NewMem()
		c := newCrashing(mem, at)
		ends := []int64{0}
		var stream []byte
		var id string
		if b, _, err := appending(t, c, dir, "appendfsync always\naof-timestamp-enabled yes"); err == nil {
			id = b.log.IDs().ID
			apart(func() {
				for i := range 8 {
					switch {
					case i%3 == 2:
						b.do("MULTI")
						b.do("SET", "n", fmt.Sprint(i))
						b.do("SET", "m", fmt.Sprint(i))
						b.do("EXEC")
					case i%4 == 3:
						b.ping()
					case i == 4:
						b.own("mine")
					case i == 1, i == 6:
						b.e.Exclusive(func() { _, _ = b.saver.RewriteAppendOnly(false) })
						b.eventually("rewrite", func() bool { return b.info("aof_rewrite_in_progress") == "0" })
					}
					b.do("SET", "n", fmt.Sprint(i))
					ends = append(ends, b.log.Offset())
				}
			})
			stream = b.streamFrom(0)
			apart(b.saver.Close)
		}
		if !c.dead.Load() {
			if at < 30 {
				t.Fatalf("%d calls", at)
			}
			return
		}
		b, loaded, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatalf("power failed at call %d: %v", at, err)
		}
		if loaded.ReplID == "" && ends[len(ends)-1] == 0 {
			continue // nothing was written
		}
		for _, end := range ends {
			if end > loaded.ReplOffset {
				break
			}
			if refusal := b.log.CanServe("the replica", id, end+1); refusal != nil {
				t.Fatalf("power failed at call %d: a replica at %d of %d: %v", at, end, loaded.ReplOffset, refusal)
			}
			if got, want := b.streamFrom(end), stream[end:loaded.ReplOffset]; !bytes.HasPrefix(got, want) {
				t.Fatalf("power failed at call %d: a replica at %d gets\n%q\nof\n%q", at, end, got, want)
			}
		}
		b.saver.Close()
	}
}

// TestTailGoesOnThroughRestarts: a replica that had begun to follow a restarted master is served after the next restart, too, from
// wherever it is; one of the history before that is not known any more.
func TestTailGoesOnThroughRestarts(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	var ids []string
	var ends []int64
	for life := range 4 {
		b, _, err := appending(t, mem, dir, "appendfsync always")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(ids); n > 1 {
			for _, end := range ends {
				if refusal := b.log.CanServe("r", ids[n-1], end+1); refusal != nil {
					t.Errorf("life %d: a replica at %d: %v", life, end, refusal)
				}
				if b.log.CanServe("r", ids[n-2], end+1) == nil {
					t.Errorf("life %d: a replica of the history before", life)
				}
			}
			if got, want := int64(len(b.streamFrom(ends[0]))), b.log.Offset()-ends[0]; got != want {
				t.Errorf("life %d: %d bytes, want %d", life, got, want)
			}
		}
		ids = append(ids, b.log.IDs().ID)
		if life != 2 { // in which nothing is written
			for range 20 {
				b.do("INCR", "n")
				ends = append(ends, b.log.Offset())
			}
			b.ping()
			b.ping()
		}
		if life%2 == 0 { // else it is killed
			b.saver.Close()
		}
	}
}

// TestTailReachesBackBeyondRewrites: the image holds no bytes of the stream, but what the backlog had before its cut is kept beside it,
// bounded by repl-backlog-size and over any number of rewrites and restarts. What is damaged, or of another history, is left out.
func TestTailReachesBackBeyondRewrites(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		mem, dir, directives := fsys.NewMem(), t.TempDir(), "auto-aof-rewrite-percentage 0\naof-use-rdb-preamble "+preamble
		b, _, err := appending(t, mem, dir, directives)
		if err != nil {
			t.Fatal(err)
		}
		first := b.log.Offset()
		for range 3 {
			b.fill(100)
			b.ping()
			b.rewrite()
		}
		want := b.streamFrom(first)
		again := func(directives string) *bench {
			n, _, err := appending(t, mem, dir, directives)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		n := again(directives)
		if got := n.log.Backlog(); got.FirstByte != first+1 || !bytes.Equal(n.streamFrom(first), want) {
			t.Fatalf("the backlog begins with %d, want %d", got.FirstByte, first+1)
		}
		n.fill(10)
		cut := n.log.Offset()
		n.rewrite()
		want = n.streamFrom(first)
		n.saver.Close()
		if n = again(directives); !bytes.Equal(n.streamFrom(first), want) {
			t.Error("another restart has other bytes")
		}
		n.saver.Close()
		n = again(directives + "\nrepl-backlog-size 16kb")
		if got := n.log.Backlog(); got.Length > 16<<10 || got.Length == 0 || !bytes.Equal(n.streamFrom(got.FirstByte-1), want[got.FirstByte-1-first:]) {
			t.Errorf("%d bytes of a small backlog", got.Length)
		}
		n.saver.Close()
		damage(t, mem, n.saver.aof.dir().Part(backlogFile))
		if got := again(directives).log.Backlog(); got.FirstByte != cut+1 {
			t.Errorf("with a damaged file the backlog begins with %d, want %d", got.FirstByte, cut+1)
		}
	}
}

// damage changes a byte in the middle of a file.
func damage(t *testing.T, fs fsys.FS, name string) {
	t.Helper()
	text, err := fsys.ReadFile(fs, name)
	if err == nil {
		text[len(text)/2] ^= 1
		err = fsys.ReplaceBytes(fs, name, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBacklogOfAnotherHistoryIsLeftOut: what a full sync replaced says nothing of the new data set.
func TestBacklogOfAnotherHistoryIsLeftOut(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "auto-aof-rewrite-percentage 0")
	if err != nil {
		t.Fatal(err)
	}
	b.fill(100)
	b.rewrite()
	old, err := fsys.ReadFile(mem, b.saver.aof.dir().Part(backlogFile))
	if err != nil {
		t.Fatal(err)
	}
	b.e.Exclusive(func() { b.log.Forget() })
	b.fill(10)
	cut := b.log.Offset()
	b.rewrite()
	if err := fsys.ReplaceBytes(mem, b.saver.aof.dir().Part(backlogFile), old); err != nil {
		t.Fatal(err)
	}
	b.saver.Close()
	n, _, err := appending(t, mem, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := n.log.Backlog(); got.FirstByte != cut+1 {
		t.Errorf("the backlog begins with %d, want %d", got.FirstByte, cut+1)
	}
}

// TestTailKeepsToTheBacklogsSize: what a load puts into memory for replicas is what the directive allows.
func TestTailKeepsToTheBacklogsSize(t *testing.T) {
	mem, dir := fsys.NewMem(), t.TempDir()
	b, _, err := appending(t, mem, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		b.fill(200)
	}
	b.eventually("all is written", func() bool { return b.info("aof_buffer_length") == "0" })
	n, _, err := appending(t, mem, dir, "repl-backlog-size 128kb")
	if err != nil {
		t.Fatal(err)
	}
	if got := n.log.Backlog(); b.log.Offset() < 300_000 || got.Length > 128<<10 || got.Length < 100<<10 {
		t.Errorf("%d bytes of %d", got.Length, b.log.Offset())
	}
	first := n.log.Backlog().FirstByte - 1
	if !bytes.Equal(n.streamFrom(first), b.streamFrom(first)) {
		t.Error("other bytes")
	}
}

// TestLoaderTellsTheTailWhatOthersWrote: commands without a note are nobody's stream.
func TestLoaderTellsTheTailWhatOthersWrote(t *testing.T) {
	l := &partsLoader{tail: oplog.NewTail(1 << 20)}
	l.stretch(aof.Stretch{Counts: true, Place: aof.Place{ID: "x", Offset: 5}, Data: []byte("abc")})
	if l.tail.Len() != 3 {
		t.Fatal(l.tail.Len())
	}
	l.stretch(aof.Stretch{Place: aof.Place{ID: "x", Offset: 8}, Data: []byte("own")})
	l.stretch(aof.Stretch{Counts: true, Place: aof.Place{ID: "x", Offset: 8}, Data: []byte("de")})
	if l.tail.Len() != 5 {
		t.Error(l.tail.Len())
	}
	l.stretch(aof.Stretch{Data: []byte("unknown")})
	if l.tail.Len() != 0 {
		t.Error(l.tail.Len())
	}
}

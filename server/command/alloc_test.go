package command

import (
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

func newCtx() (*Ctx, *Table) {
	s := store.New(store.Options{})
	return &Ctx{Store: s, DB: s.DB(0), Out: resp.NewWriter(nil), Conf: &Config{}, Now: 1_000_000}, NewTable()
}

// do runs one command and forgets reply and effects.
func do(c *Ctx, t *Table, args [][]byte) {
	cmd := t.Resolve(args)
	c.Begin(cmd, args)
	cmd.Handler(c)
	c.Finish()
	c.Out.Reset()
	c.ResetEffects()
}

// TestCommonCommandsDoNotAllocate keeps the collector away from the hot path.
func TestCommonCommandsDoNotAllocate(t *testing.T) {
	c, table := newCtx()
	for _, line := range []string{"SET k value", "GET k", "SET k value EX 100", "SET k value PX 100 NX", "INCR n", "INCRBY n 5", "SET s x", "SETBIT s 3 1", "DEL none", "EXISTS k", "EXPIRE k 100", "TTL k",
		"HSET h f v", "HGET h f", "HINCRBY h n 1", "HMGET h f n", "HGETALL h", "MSET a 1 b 2", "MGET a b", "GETEX k EX 50", "STRLEN k", "SETRANGE k 2 xx", "GETRANGE k 0 3"} {
		args := words(line)
		do(c, table, args) // buffers and pages come with the first run
		if n := testing.AllocsPerRun(100, func() { do(c, table, args) }); n != 0 {
			t.Errorf("%s allocates %v times", line, n)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	bench(b, "SET key:000000012345 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
}
func BenchmarkGet(b *testing.B) { bench(b, "GET key:000000012345") }

func bench(b *testing.B, line string) {
	c, table := newCtx()
	do(c, table, words("SET key:000000012345 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
	args := words(line)
	b.ReportAllocs()
	for b.Loop() {
		do(c, table, args)
	}
}

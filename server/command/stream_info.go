package command

import (
	"math"
	"math/bits"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// streamOrError finds a stream that must be there; ok is false after an error reply.
func (c *Ctx) streamOrError(key []byte) (s store.Stream, ok bool) {
	s, found, ok := c.streamToRead(key)
	if ok && !found {
		c.Out.Error(errNoKey)
	}
	return s, ok && found
}

func cmdXinfoConsumers(c *Ctx) {
	s, ok := c.streamOrError(c.Args[2])
	if !ok {
		return
	}
	g, ok := s.Group(c.Args[3])
	if !ok {
		c.noGroupFor(c.Args[3], c.Args[2])
		return
	}
	c.Out.Array(g.Consumers())
	g.EachConsumer(func(no uint32, name string, seen int64, pending int) {
		c.Out.Map(4)
		c.Out.BulkString("name")
		c.Out.BulkString(name)
		c.intField("pending", int64(pending))
		c.intField("idle", max(c.Now-seen, 0))
		inactive := g.ActiveTime(no)
		if inactive != store.NeverActive {
			inactive = c.Now - inactive
		}
		c.intField("inactive", inactive)
	})
}

func (c *Ctx) intField(name string, n int64) {
	c.Out.BulkString(name)
	c.Out.Int(n)
}

func (c *Ctx) idField(name string, id store.StreamID) {
	c.Out.BulkString(name)
	c.streamID(id)
}

func cmdXinfoGroups(c *Ctx) {
	s, ok := c.streamOrError(c.Args[2])
	if !ok {
		return
	}
	c.Out.Array(s.Groups())
	for i := range s.Groups() {
		g := s.GroupAt(i)
		c.Out.Map(6)
		c.Out.BulkString("name")
		c.Out.BulkString(g.Name())
		c.intField("consumers", int64(g.Consumers()))
		c.intField("pending", int64(g.Len()))
		c.idField("last-delivered-id", g.LastID())
		c.progress(&s, &g)
	}
}

// progress replies with how much a group has read and how far it lags behind.
func (c *Ctx) progress(s *store.Stream, g *store.StreamGroup) {
	c.Out.BulkString("entries-read")
	read := g.Read()
	if read != -1 {
		c.Out.Int(read)
	} else {
		c.Out.Null()
	}
	c.Out.BulkString("lag")
	switch {
	case s.Added() == 0:
		c.Out.Int(0)
		return
	case read == -1 || s.HasTombstones(g.LastID()):
		read = s.EntriesBefore(g.LastID())
	}
	if read == -1 {
		c.Out.Null()
	} else {
		c.Out.Int(int64(s.Added()) - read)
	}
}

// fullCount is the number of elements that XINFO STREAM FULL shows of everything when it is not told.
const fullCount = 10

func cmdXinfoStream(c *Ctx) {
	s, ok := c.streamOrError(c.Args[2])
	if !ok {
		return
	}
	full, count := len(c.Args) > 3, int64(fullCount)
	if full {
		if n := len(c.Args); n != 4 && n != 6 || !c.is(3, "full") || n == 6 && !c.is(4, "count") {
			c.subcommandError()
			return
		}
		if len(c.Args) == 6 {
			if count, ok = c.intArg(5); !ok {
				return
			}
			if count < 0 {
				count = fullCount
			}
		}
	}
	if !full {
		c.Out.Map(10)
		c.streamFields(&s)
		c.intField("groups", int64(s.Groups()))
		c.edgeEntry("first-entry", &s, true)
		c.edgeEntry("last-entry", &s, false)
		return
	}
	if count == 0 {
		count = math.MaxInt64
	}
	if c.longFullStream(&s, count) {
		return
	}
	c.fullStream(&s, func() {
		c.entries(s.Range(store.StreamID{}, store.MaxStreamID, false), count)
	}, func(g *store.StreamGroup, no uint32, _ int) { c.fullPending(g, no, count) })
}

// streamFields replies with what XINFO STREAM tells of a stream with FULL and without.
func (c *Ctx) streamFields(s *store.Stream) {
	c.intField("length", int64(s.Len()))
	c.intField("radix-tree-keys", int64(s.Chunks()))
	c.intField("radix-tree-nodes", int64(radixNodes(s)))
	c.idField("last-generated-id", s.LastID())
	c.idField("max-deleted-entry-id", s.MaxDeletedID())
	c.intField("entries-added", int64(s.Added()))
	c.idField("recorded-first-entry-id", s.FirstID())
}

func (c *Ctx) edgeEntry(name string, s *store.Stream, first bool) {
	c.Out.BulkString(name)
	id, ok := s.Edge(first, true)
	if !ok || !c.oneEntry(s, id) {
		c.Out.Null()
	}
}

// fullStream is XINFO STREAM FULL: entries replies with the stream's, pending with those of a group, or of its consumer
// when no is not 0, of which there are n.
func (c *Ctx) fullStream(s *store.Stream, entries func(), pending func(g *store.StreamGroup, no uint32, n int)) {
	c.Out.Map(9)
	c.streamFields(s)
	c.Out.BulkString("entries")
	entries()
	c.Out.BulkString("groups")
	c.Out.Array(s.Groups())
	for i := range s.Groups() {
		g := s.GroupAt(i)
		c.Out.Map(7)
		c.Out.BulkString("name")
		c.Out.BulkString(g.Name())
		c.idField("last-delivered-id", g.LastID())
		c.progress(s, &g)
		c.intField("pel-count", int64(g.Len()))
		c.Out.BulkString("pending")
		pending(&g, 0, g.Len())
		c.Out.BulkString("consumers")
		c.Out.Array(g.Consumers())
		g.EachConsumer(func(no uint32, name string, seen int64, n int) {
			c.Out.Map(5)
			c.Out.BulkString("name")
			c.Out.BulkString(name)
			c.intField("seen-time", seen)
			c.intField("active-time", g.ActiveTime(no))
			c.intField("pel-count", int64(n))
			c.Out.BulkString("pending")
			pending(&g, no, n)
		})
	}
}

// fullPending replies with the first pending entries of a group, or of one of its consumers when no is not 0.
func (c *Ctx) fullPending(g *store.StreamGroup, no uint32, count int64) {
	mark, n := c.Out.DeferArray(), int64(0)
	g.Each(store.StreamID{}, no, func(id store.StreamID, p store.Pending) bool {
		if n == count || c.TooLong() {
			return false
		}
		n++
		writePending(c.Out, id, p, g.ConsumerName(p.Consumer), no)
		return true
	})
	c.Out.SetArrayLen(mark, int(n))
}

// writePending replies with a pending entry of a group, or of one of its consumers when no is not 0.
func writePending(w *resp.Writer, id store.StreamID, p store.Pending, consumer string, no uint32) {
	var room [41]byte
	if no == 0 {
		w.Array(4)
		w.Bulk(appendStreamID(room[:0], id))
		w.BulkString(consumer)
	} else {
		w.Array(3)
		w.Bulk(appendStreamID(room[:0], id))
	}
	w.Int(p.Time)
	w.Int(int64(p.Count))
}

func cmdXinfoHelp(c *Ctx) {
	c.Help("XINFO",
		"CONSUMERS <key> <groupname>",
		"    Show consumers of <groupname>.",
		"GROUPS <key>",
		"    Show the stream consumer groups.",
		"STREAM <key> [FULL [COUNT <count>]",
		"    Show information about the stream.")
}

// radixNodes is the number of nodes that Redis' radix tree has for a stream's chunks: one for each key, one for each
// place where keys part, and one for each stretch of bytes between two of these that is longer than the edge itself.
func radixNodes(s *store.Stream) int {
	const whole = 16 // bytes of a key
	if s.Chunks() == 0 {
		return 1
	}
	nodes := s.Chunks()
	add := func(at, parent int) { // what is at a depth and hangs from a depth, -1 for the root itself
		if at-parent > 1 {
			nodes++
		}
	}
	var open []int // depths of the partings on the way to the last key
	last, before, any := store.StreamID{}, -1, false
	s.EachChunk(func(id store.StreamID) {
		if any {
			common := commonBytes(last, id)
			add(whole, max(before, common))
			nodes += closePartings(&open, common, add)
			before = common
		}
		last, any = id, true
	})
	add(whole, before)
	return nodes + closePartings(&open, -1, add)
}

// closePartings ends the partings below a depth, which becomes one, and returns how many ended.
func closePartings(open *[]int, depth int, add func(at, parent int)) (ended int) {
	for n := len(*open); n > 0 && (*open)[n-1] > depth; n-- {
		at, parent := (*open)[n-1], depth
		*open = (*open)[:n-1]
		if n > 1 {
			parent = max(parent, (*open)[n-2])
		}
		add(at, parent)
		ended++
	}
	if n := len(*open); depth >= 0 && (n == 0 || (*open)[n-1] < depth) {
		*open = append(*open, depth)
	}
	return ended
}

// commonBytes is the length of the prefix that two keys share.
func commonBytes(a, b store.StreamID) int {
	if a.Ms != b.Ms {
		return bits.LeadingZeros64(a.Ms^b.Ms) / 8
	}
	return 8 + bits.LeadingZeros64(a.Seq^b.Seq)/8
}

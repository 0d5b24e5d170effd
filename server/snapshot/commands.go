package snapshot

import (
	"bufio"
	"io"
	"strconv"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// itemsAtOnce is how many elements one command adds, as in Redis.
const itemsAtOnce = 64

// Commands turns an RDB into commands that make the same data set: the base of an append-only file without an RDB in it
// (aof-use-rdb-preamble no). It keeps one stream at a time, and of other values nothing. Where the RDB tells its place in the
// replicas' stream, the commands end in the stream's database.
func Commands(w io.Writer, r io.Reader, databases int) (Meta, error) {
	c := &commander{out: bufio.NewWriterSize(w, 256<<10), selected: -1}
	c.loader = &loader{store: store.New(store.Options{Databases: databases}), in: rdb.NewReader(r, rdb.Limits{SkipChecksum: true}), meta: newMeta()}
	for {
		ev, err := c.in.Next()
		if err == nil && ev.Kind == rdb.EOF {
			return c.meta, c.end()
		}
		if err == nil {
			err = c.event(&ev)
		}
		if err != nil {
			return c.meta, err
		}
	}
}

type commander struct {
	*loader
	out      *bufio.Writer
	at       int // database of what follows
	selected int
	args     [][]byte
	buf      []byte
	key      []byte
}

func (c *commander) event(ev *rdb.Event) error {
	switch ev.Kind {
	case rdb.Aux:
		return c.aux(string(ev.Key), string(ev.Value))
	case rdb.Function:
		return c.put("FUNCTION", "LOAD", string(ev.Value))
	case rdb.SelectDB:
		c.at = ev.DB
	case rdb.Entry:
		return c.entry(ev)
	}
	return nil
}

// end makes the stream's database the last one.
func (c *commander) end() error {
	if c.meta.ReplID != "" && c.meta.StreamDB >= 0 {
		c.at = c.meta.StreamDB
		if err := c.selectDB(); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

func (c *commander) selectDB() error {
	if c.at == c.selected {
		return nil
	}
	c.selected = c.at
	return c.put("SELECT", strconv.Itoa(c.at))
}

func (c *commander) put(words ...string) error {
	c.buf = resp.AppendCommandStrings(c.buf[:0], words...)
	_, err := c.out.Write(c.buf)
	return err
}

func (c *commander) putBytes(args [][]byte) error {
	c.buf = resp.AppendCommand(c.buf[:0], args...)
	_, err := c.out.Write(c.buf)
	return err
}

func (c *commander) entry(ev *rdb.Event) error {
	if err := supported(ev); err != nil {
		return err
	}
	if err := c.selectDB(); err != nil {
		return err
	}
	c.key = append(c.key[:0], ev.Key...)
	expire := ev.ExpireMS
	var err error
	switch ev.Type.Name() {
	case "string":
		err = c.putBytes([][]byte{[]byte("SET"), c.key, ev.Value})
	case "list":
		err = c.items("RPUSH", 1, func(args [][]byte) ([][]byte, bool, error) {
			v, ok, err := c.in.NextElement()
			return appendCopy(args, v), ok, err
		})
	case "set":
		err = c.items("SADD", 1, func(args [][]byte) ([][]byte, bool, error) {
			v, ok, err := c.in.NextMember()
			return appendCopy(args, v), ok, err
		})
	case "hash":
		err = c.items("HMSET", 2, func(args [][]byte) ([][]byte, bool, error) {
			f, v, ok, err := c.in.NextField()
			return appendCopy(appendCopy(args, f), v), ok, err
		})
	case "zset":
		err = c.items("ZADD", 2, func(args [][]byte) ([][]byte, bool, error) {
			m, score, ok, err := c.in.NextScored()
			return appendCopy(append(args, formatScore(score)), m), ok, err
		})
	case "stream":
		err = c.stream(ev)
	}
	if err == nil && expire != 0 {
		err = c.put("PEXPIREAT", string(c.key), strconv.FormatInt(expire, 10))
	}
	return err
}

func formatScore(f float64) []byte { return strconv.AppendFloat(nil, f, 'g', 17, 64) }

func appendCopy(args [][]byte, v []byte) [][]byte { return append(args, append([]byte(nil), v...)) }

// items writes commands with some of a value's elements each; next appends one, of width arguments.
func (c *commander) items(name string, width int, next func(args [][]byte) ([][]byte, bool, error)) error {
	for more := true; more; {
		args := c.args[:0]
		args = append(args, []byte(name), c.key)
		for len(args) < 2+width*itemsAtOnce {
			with, ok, err := next(args)
			if err != nil {
				return err
			}
			if !ok {
				more = false
				break
			}
			args = with
		}
		c.args = args
		if len(args) == 2 {
			break
		}
		if err := c.putBytes(args); err != nil {
			return err
		}
	}
	return nil
}

// stream loads a stream, alone, and writes what makes it.
func (c *commander) stream(ev *rdb.Event) error {
	c.loader.db = c.store.DB(0)
	if err := c.loader.entry(ev); err != nil {
		return err
	}
	for n := 0; c.fill != nil; n = 0 {
		done, err := c.fill(&n)
		if err != nil {
			return err
		}
		if done {
			c.fill = nil
		}
	}
	s, _ := c.loader.db.StreamForWrite(c.key)
	err := c.entries(&s)
	for i := 0; err == nil && i < s.Groups(); i++ {
		g := s.GroupAt(i)
		err = c.group(&g)
	}
	c.store.FlushAll()
	for c.store.Reclaim(1 << 16) {
	}
	return err
}

func streamID(id store.StreamID) string {
	return strconv.FormatUint(id.Ms, 10) + "-" + strconv.FormatUint(id.Seq, 10)
}

func (c *commander) entries(s *store.Stream) error {
	key := string(c.key)
	if s.Len() == 0 { // an entry that is trimmed at once makes the key
		if err := c.put("XADD", key, "MAXLEN", "0", "0-1", "x", "y"); err != nil {
			return err
		}
	}
	it := s.Range(store.StreamID{}, store.StreamID{Ms: ^uint64(0), Seq: ^uint64(0)}, false)
	for id, ok := it.Next(); ok; id, ok = it.Next() {
		words := []string{"XADD", key, streamID(id)}
		it.Each(func(name, value *listpack.Value) {
			words = append(words, string(name.Append(nil)), string(value.Append(nil)))
		})
		if err := c.put(words...); err != nil {
			return err
		}
	}
	return c.put("XSETID", key, streamID(s.LastID()), "ENTRIESADDED", strconv.FormatUint(s.Added(), 10), "MAXDELETEDID", streamID(s.MaxDeletedID()))
}

func (c *commander) group(g *store.StreamGroup) error {
	key, name := string(c.key), g.Name()
	if err := c.put("XGROUP", "CREATE", key, name, streamID(g.LastID()), "ENTRIESREAD", strconv.FormatInt(g.Read(), 10)); err != nil {
		return err
	}
	type consumer struct {
		no   uint32
		name string
	}
	var list []consumer
	g.EachConsumer(func(no uint32, name string, _ int64, _ int) { list = append(list, consumer{no, name}) })
	for _, o := range list {
		if err := c.put("XGROUP", "CREATECONSUMER", key, name, o.name); err != nil {
			return err
		}
		var err error
		g.Each(store.StreamID{}, o.no, func(id store.StreamID, p store.Pending) bool {
			err = c.put("XCLAIM", key, name, o.name, "0", streamID(id), "TIME", strconv.FormatInt(p.Time, 10), "RETRYCOUNT",
				strconv.FormatUint(p.Count, 10), "JUSTID", "FORCE")
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

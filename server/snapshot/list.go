package snapshot

import (
	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// smallList encodes a list that is kept in its entry: one node.
func (c *encoder) smallList(s *stream, db int, e store.Entry) bool {
	l := e.List()
	data, n := l.Packed()
	if n == 0 {
		return false
	}
	c.begin(s, db, e.ExpireAt(), e)
	s.tail = rdb.AppendListEntry(s.tail, e.Key(), 1, c.compress)
	c.packedNode(s, data, n)
	return true
}

// packedNode adds a node of elements that the store keeps in a listpack's encoding.
func (c *encoder) packedNode(s *stream, data []byte, elements int) {
	c.ready(s)
	s.tail = rdb.AppendPackedNode(s.tail)
	c.listpack = listpack.Finish(append(listpack.Begin(c.listpack[:0]), data...), 0, elements)
	c.copied(s, c.listpack)
}

// listChunk encodes a piece of a big list.
func (c *encoder) listChunk(chunk store.Chunk) {
	s := &c.q.main
	if chunk.Blob == nil {
		c.packedNode(s, chunk.Data, chunk.Elements)
		return
	}
	c.ready(s)
	s.tail = rdb.AppendPlainNode(s.tail)
	c.q.cut(s)
	chunk.Blob.Retain()
	c.q.add(s, &piece{data: chunk.Data, blob: chunk.Blob, encode: true, size: len(chunk.Data)})
}

// elements stores elements of the list that is being read, as many as the batch still takes.
func (l *loader) elements(n *int) (done bool, err error) {
	list, _ := l.db.ListForWrite(l.key)
	for from := l.in.Pos(); l.room(*n, from); *n++ {
		v, ok, err := l.in.NextElement()
		if err != nil {
			return true, err
		}
		if !ok {
			l.finish(list.Len())
			return true, nil
		}
		list.Push(false, v)
	}
	return false, nil
}

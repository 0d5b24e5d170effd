package session

import (
	"strconv"

	"github.com/understudy-db/understudy/server/listpack"
	"github.com/understudy-db/understudy/server/store"
)

// mixStream adds a stream's entries in order; its groups do not count.
func (d *digest) mixStream(s *store.Stream) {
	for it := s.Range(store.StreamID{}, store.MaxStreamID, false); ; {
		id, ok := it.Next()
		if !ok {
			return
		}
		d.mixStreamEntry(id, &it)
	}
}

func (d *digest) mixStreamEntry(id store.StreamID, entry *store.StreamRange) {
	text := append(strconv.AppendUint(nil, id.Ms, 10), '.')
	text = strconv.AppendUint(text, id.Seq, 10)
	d.mix(text)
	entry.Each(func(name, value *listpack.Value) {
		text = name.Append(text[:0])
		d.mix(text)
		text = value.Append(text[:0])
		d.mix(text)
	})
}

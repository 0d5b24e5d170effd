package store

import "sync/atomic"

// Blob is a big byte string of its own allocation. It is immutable while anybody but the store holds a reference: a
// write then goes to a copy. Release may be called by any goroutine, without the lock.
type Blob struct {
	data  []byte // len is the length in use
	whole []byte // as Pages gave it
	refs  atomic.Int32
	mem   Pages
	stats *blobStats
}

type blobStats struct{ bytes atomic.Int64 }

// Bytes are the blob's contents, valid until Release.
func (b *Blob) Bytes() []byte { return b.data }

// Retain adds a reference. Only a holder of a reference, or of the lock, may call it.
func (b *Blob) Retain() { b.refs.Add(1) }

// Release drops a reference; the last one frees the memory.
func (b *Blob) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.stats.bytes.Add(-int64(len(b.whole)))
		b.mem.FreeBlob(b.whole)
		b.data, b.whole = nil, nil
	case n < 0:
		panic("store: a blob was released twice")
	}
}

// takes reports whether n bytes would be given a blob of just this size.
func (b *Blob) takes(n int) bool { return n <= len(b.whole) && len(b.whole)-n < blobStep }

// blobStep is what sizes of blobs may be rounded up to a multiple of, see Pages.
const blobStep = 4 << 10

// newBlob makes a blob of n bytes, contents undefined, that can grow to a capacity.
func (s *Store) newBlob(n, capacity int) (b *Blob) {
	b, s.zero = s.makeBlob(n, capacity)
	return b
}

func (s *Store) makeBlob(n, capacity int) (b *Blob, zero bool) {
	whole, zero := s.mem.AllocBlob(capacity)
	s.blobs.bytes.Add(int64(len(whole)))
	b = &Blob{data: whole[:n], whole: whole, mem: s.mem, stats: s.blobs}
	b.refs.Store(1)
	return b, zero
}

// NewBlob makes a blob of n bytes, contents undefined, that no key has: SetBlob or Release must follow. Its maker fills it
// before anybody else has it. It may be called without the lock.
func (s *Store) NewBlob(n int) *Blob {
	b, _ := s.makeBlob(n, n)
	return b
}

// Cut shortens a blob to n bytes. Only its maker may call it.
func (b *Blob) Cut(n int) { b.data = b.data[:n] }

// zeroAfter zeroes the value of an entry that was just made, from some byte on. Memory that nobody has used is zero: to say so
// once more of a hundred megabytes takes ten milliseconds, and takes the memory, too.
func (p *part) zeroAfter(s shape, v []byte, from int) {
	if s.meta&flagValBlob == 0 || !p.space.store.zero {
		clear(v[from:])
	}
}

func (p *part) addBlob(b *Blob) uint32 {
	if k := len(p.noBlob); k > 0 {
		i := p.noBlob[k-1]
		p.noBlob = p.noBlob[:k-1]
		p.blobs[i] = b
		return i
	}
	p.blobs = append(p.blobs, b)
	return uint32(len(p.blobs) - 1)
}

func (p *part) dropBlob(i uint32) {
	p.blobs[i].Release()
	p.blobs[i] = nil
	p.noBlob = append(p.noBlob, i)
}

// room is the capacity for a blob that grew to n bytes: half as much again up to a megabyte more, so that appending
// costs amortized constant time.
func room(n int) int { return n + min(n/2, 1<<20) }

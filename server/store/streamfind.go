package store

// StreamFinder finds single entries of a stream. Those that come in the order of their IDs, close to each other, it finds by
// going on where it is: to begin anew is to read half a chunk. It is good until entries are written.
type StreamFinder struct {
	s     *Stream
	r     StreamRange
	at    StreamID // of the entry where r is
	there bool     // r is at one
}

// findNear is how many entries it passes before it begins anew.
const findNear = 32

// Finder makes a finder. s must not be moved meanwhile.
func (s *Stream) Finder() StreamFinder { return StreamFinder{s: s} }

// Find gives the entry with an ID, as Range does after Next.
func (f *StreamFinder) Find(id StreamID) (entry *StreamRange, found bool) {
	f.s.check()
	if !f.there || id.Compare(f.at) < 0 {
		f.seek(id)
	}
	for passed := 0; f.there && f.at.Compare(id) < 0; passed++ {
		if passed == findNear {
			f.seek(id)
			break
		}
		f.at, f.there = f.r.Next()
	}
	return &f.r, f.there && f.at == id
}

func (f *StreamFinder) seek(id StreamID) {
	f.r = f.s.Range(id, MaxStreamID, false)
	f.at, f.there = f.r.Next()
}

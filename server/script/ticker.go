package script

import (
	"context"
	"time"
)

// tickEvery is the number of instructions between two looks at the clock: some 50 us.
const tickEvery = 1 << 12

// ticker is the context of a Lua state. The interpreter asks Done before every instruction, which makes it the one place
// where a script that does not end can be watched.
type ticker struct {
	n    uint32
	done <-chan struct{} // closed when the script must end
	why  error
	look func() error // nil: nobody watches
	each bool         // looks before every instruction
}

var ended = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

var _ context.Context = (*ticker)(nil)

// start watches a run.
func (t *ticker) start(look func() error) {
	t.n, t.done, t.why, t.look, t.each = 0, nil, nil, look, false
}

func (t *ticker) stop() { t.start(nil) }

// Done counts, looks now and then, and is ready when the script must end.
func (t *ticker) Done() <-chan struct{} {
	if t.n++; (t.n&(tickEvery-1) == 0 || t.each) && t.look != nil && t.done == nil {
		if t.why = t.look(); t.why != nil {
			t.done = ended
		}
	}
	return t.done
}

func (t *ticker) Err() error                  { return t.why }
func (t *ticker) Deadline() (time.Time, bool) { return time.Time{}, false }
func (t *ticker) Value(any) any               { return nil }

// random is the generator of the C library's lrand48, as Redis carries it, so that scripts draw the same numbers everywhere.
type random uint64

func (r *random) seed(n int32) { *r = random(uint64(uint32(n))<<16 | 0x330e) }

func (r *random) next() int32 {
	*r = (*r*0x5deece66d + 0xb) & (1<<48 - 1)
	return int32(*r >> 17)
}

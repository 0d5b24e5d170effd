package transport

import "sync/atomic"

// traffic is what a loop has moved: bytes, calls that brought some, and calls that took some. The loop adds to its own numbers,
// which others see from publish on, once for a batch: an addition that others may see takes as long as the rest of a short command.
type traffic struct {
	in, out, reads, writes atomic.Int64
	own                    struct{ in, out, reads, writes int64 }
}

func (t *traffic) read(n int) {
	t.own.in += int64(n)
	t.own.reads++
}

func (t *traffic) wrote(n int) {
	t.own.out += int64(n)
	t.own.writes++
}

func (t *traffic) publish() {
	o := &t.own
	if o.reads > 0 {
		t.in.Add(o.in)
		t.reads.Add(o.reads)
	}
	if o.writes > 0 {
		t.out.Add(o.out)
		t.writes.Add(o.writes)
	}
	o.in, o.out, o.reads, o.writes = 0, 0, 0, 0
}

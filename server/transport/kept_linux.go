package transport

import (
	"math"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

// kept is output of one connection that waits until what it reflects is held by those who must (S6, engine.Commit). A loop
// keeps them in the order in which they came to be, which is that of their offsets and of their deadlines: only the front is
// looked at. What a connection gets to say after something kept is put behind it.
type kept struct {
	c       *conn
	due     engine.Due
	since   time.Time
	out     []chunk
	n       int64
	replies int
	odd     bool // there is more in it than one reply for each command: it cannot be replaced by errors
}

// nobody is keptFrom's value when nothing waits.
const nobody = math.MaxInt64

// answerDue is answer's end while replies wait for others.
func (l *loop) answerDue(c *conn, items []engine.Item, due engine.Due) bool {
	replies, reflects, odd := tally(items)
	list := c.takePushes()
	if len(list) > 0 {
		reflects, odd = true, true
		if d, on := l.t.e.DueOfOthers(); on {
			due.Offset = max(due.Offset, d.Offset)
		}
	}
	if reflects {
		if !l.t.e.Gate().MayLeave(due.Ticket) {
			l.t.logf("Closing client id=%d: the right to serve ended before the reply could leave", c.sess.Num)
			l.close(c)
			return false
		}
		c.ticket = due.Ticket
	}
	if c.kept != nil || (reflects && !l.t.e.Commit().Reached(due)) {
		k := l.keep(c, due)
		k.replies += replies
		k.odd = k.odd || odd
	}
	switch {
	case len(list) > 0:
		l.interleave(c, items, list)
	case c.kept != nil:
		l.lane.Out.Segments(items[0].Start, items[len(items)-1].End, func(plain []byte, blob resp.Blob) { l.enqueue(c, plain, blob) })
		l.withinHardLimit(c, 0)
	default:
		l.reply(c, items[0].Start, items[len(items)-1].End)
	}
	return !c.closed
}

// tally counts the replies of items, and tells whether any reflects the data set.
func tally(items []engine.Item) (replies int, reflects, odd bool) {
	for i := range items {
		it := &items[i]
		if it.End > it.Start {
			replies++
		}
		reflects = reflects || (!it.Untold && engine.Reflects(it.Cmd))
		odd = odd || (it.Cmd != nil && it.Cmd.Flags&command.PubSub != 0)
	}
	return replies, reflects, odd
}

// keep makes what c is told from here on wait for due.
func (l *loop) keep(c *conn, due engine.Due) *kept {
	if k := c.kept; k != nil && k.due == due {
		return k
	}
	k := &kept{c: c, due: due, since: time.Now()}
	c.kept = k
	l.kept = append(l.kept, k)
	return k
}

// keepOthers is keep for one thing that another lane made, when that has to wait.
func (l *loop) keepOthers(c *conn, replies int, odd bool) {
	due, on := l.t.e.DueOfOthers()
	if c.kept == nil && (!on || l.t.e.Commit().Reached(due)) {
		return
	}
	if !on {
		due = c.kept.due
	}
	k := l.keep(c, due)
	k.replies += replies
	k.odd = k.odd || odd
}

// watchCommit tells the commit what the loop waits for, and does what came meanwhile.
func (l *loop) watchCommit() {
	for len(l.kept) > 0 {
		front := l.kept[0]
		l.keptFrom.Store(front.due.Offset)
		if commit := l.t.e.Commit(); !front.c.closed && !commit.Reached(front.due) && !commit.Lost(front.due) && time.Since(front.since) < commit.Timeout() {
			return // what is told after the Store wakes the loop
		}
		l.letGoDue()
	}
	l.keptFrom.Store(nobody)
}

// progressed is called, by any goroutine, when more is held.
func (l *loop) progressed(upTo int64) {
	if l.keptFrom.Load() <= upTo && !l.releasing.Swap(true) {
		l.post(func() {
			l.releasing.Store(false)
			l.watchCommit()
		})
	}
}

// letGoDue lets go what is held by those who must, or what has waited for too long.
func (l *loop) letGoDue() {
	commit, now := l.t.e.Commit(), time.Now()
	done, limit := 0, commit.Timeout()
	for _, k := range l.kept {
		lost := commit.Lost(k.due) || now.Sub(k.since) >= limit
		if !k.c.closed && !lost && !commit.Reached(k.due) {
			break
		}
		done++
		l.letGo(k, lost && !commit.Reached(k.due))
	}
	gone := append([]*kept(nil), l.kept[:done]...)
	l.kept = append(l.kept[:0], l.kept[done:]...)
	for _, k := range gone {
		if c := k.c; !c.closed && len(c.out) > 0 {
			l.flush(c)
		}
		if c := k.c; !c.closed && !c.inBatch && c.kept == nil && (c.detach != nil || c.ends()) {
			l.settle(c)
		}
	}
	if len(l.kept) == 0 {
		for _, fn := range l.settlers {
			fn()
		}
		l.settlers = nil
	}
}

// letGo moves what was kept to the output. What is lost is replaced by errors, one for each reply.
func (l *loop) letGo(k *kept, lost bool) {
	c := k.c
	if c.kept == k {
		c.kept = nil
	}
	if !c.closed {
		c.keptLen -= k.n
	}
	if lost || c.closed {
		for _, ch := range k.out {
			if ch.blob != nil {
				ch.blob.Release()
			}
		}
	}
	switch {
	case c.closed:
	case !l.t.e.Gate().MayLeave(k.due.Ticket):
		l.t.logf("Closing client id=%d: the right to serve ended before the reply could leave", c.sess.Num)
		l.close(c)
	case lost:
		l.unconfirmed(k)
	default:
		c.out = append(c.out, k.out...)
		c.outLen += k.n
		c.ticket = k.due.Ticket
	}
}

// unconfirmed tells a client that the outcome of its commands is unknown. Where there is not one reply for each command it is
// told once and closed.
func (l *loop) unconfirmed(k *kept) {
	c, n := k.c, k.replies
	if k.odd {
		n, c.ending = min(n, 1), true
	}
	l.t.e.Commit().Fail(n)
	for range n {
		data := append(l.buffer(len(engine.ErrUnconfirmed)+2), engine.ErrUnconfirmed...)
		data = append(data, '\r', '\n')
		c.out = append(c.out, chunk{data: data})
		c.outLen += int64(len(data))
	}
	c.sess.OutputBytes.Store(c.unsent())
}

// untilKept is how long the front may wait.
func (l *loop) untilKept() time.Duration {
	return time.Until(l.kept[0].since.Add(l.t.e.Commit().Timeout()))
}

package transport

import (
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"golang.org/x/sys/unix"
)

// What leaves a connection: replies and messages, sent at once as far as the socket takes them, kept within limits otherwise.

// reply sends the bytes between two marks of the lane's writer.
func (l *loop) reply(c *conn, from, to int) {
	out := l.lane.Out
	switch {
	case from == to:
	case !out.HasRefs():
		if l.withinHardLimit(c, int64(to-from)) {
			l.write(c, out.Bytes()[from:to])
		}
	case len(c.out) == 0 && c.kept == nil && c.secure == nil:
		l.replyUncopied(c, from, to)
	default:
		out.Segments(from, to, func(plain []byte, blob resp.Blob) { l.enqueue(c, plain, blob) })
		if l.withinHardLimit(c, 0) {
			l.flush(c)
		}
	}
}

// replyUncopied is reply where nothing goes before: what the socket takes at once is copied nowhere, not even what stands
// between blobs.
func (l *loop) replyUncopied(c *conn, from, to int) {
	lent := l.lent[:0]
	l.lane.Out.Segments(from, to, func(plain []byte, blob resp.Blob) {
		if blob != nil {
			plain = blob.Bytes()
		}
		lent = append(lent, chunk{plain, blob})
		c.outLen += int64(len(plain))
	})
	l.lent, c.out = lent[:0], lent
	c.noteOut(0)
	if l.withinHardLimit(c, 0) {
		l.flush(c)
	}
	if len(c.out) > 0 {
		l.keepLent(c)
	}
	clear(lent)
}

// keepLent makes what is unsent c's own: the loop's list and the lane's bytes are for the next to come.
func (l *loop) keepLent(c *conn) {
	own := make([]chunk, len(c.out))
	for i, ch := range c.out {
		if ch.blob == nil {
			ch.data = append(l.buffer(len(ch.data)), ch.data...)
		}
		own[i] = ch
	}
	c.out = own
	c.account()
}

// withinHardLimit closes a client whose replies, with n bytes more, reach the hard output limit: before the first of
// them is sent, as in Redis, even if the socket would take them.
func (l *loop) withinHardLimit(c *conn, n int64) bool {
	hard, _, _ := l.t.sessions.OutputLimit(&c.sess)
	if hard == 0 || c.unsent()+n < hard {
		return true
	}
	l.overLimit(c)
	return false
}

// send sends what w holds, after what is unsent already.
func (l *loop) send(c *conn, w *resp.Writer) {
	w.Segments(0, w.Len(), func(plain []byte, blob resp.Blob) { l.enqueue(c, plain, blob) })
	l.flush(c)
}

// write sends p at once as far as the socket takes it and keeps the rest.
func (l *loop) write(c *conn, p []byte) {
	if len(c.out) == 0 && c.kept == nil {
		n, errno := c.writeTo(p)
		if errno != 0 {
			if !retry(errno) {
				l.close(c)
				return
			}
			n = 0
		}
		l.moved.wrote(n)
		if n == len(p) {
			if !c.drained() {
				l.interest(c)
				return
			}
			c.ticket = engine.Ticket{}
			return
		}
		p = p[n:]
	}
	l.enqueue(c, p, nil)
	l.limitOutput(c)
}

// tail is what c's output is appended to, and its length.
func (c *conn) tail() (*[]chunk, *int64) {
	if k := c.kept; k != nil {
		return &k.out, &k.n
	}
	return &c.out, &c.outLen
}

// noteOut counts output that was appended to the tail.
func (c *conn) noteOut(n int64) {
	if c.kept != nil {
		c.keptLen += n
	}
	c.sess.OutputBytes.Store(c.unsent())
}

func (l *loop) enqueue(c *conn, plain []byte, blob resp.Blob) {
	tail, size := c.tail()
	out, added := *tail, int64(len(plain))
	n := len(out)
	switch {
	case blob != nil:
		out = append(out, chunk{blob.Bytes(), blob})
		added = int64(len(blob.Bytes()))
	case n > 0 && out[n-1].blob == nil && cap(out[n-1].data)-len(out[n-1].data) >= len(plain):
		out[n-1].data = append(out[n-1].data, plain...)
	default:
		out = append(out, chunk{data: append(l.buffer(len(plain)), plain...)})
	}
	*tail = out
	*size += added
	c.noteOut(added)
	c.account()
}

// flushMost is about what one connection is sent before the others of its loop are looked at: a peer that reads fast would
// keep the loop for all of a long reply.
const flushMost = 512 << 10

// flush sends what is unsent, as far as the socket takes it.
func (l *loop) flush(c *conn) {
	if c.drained() {
		l.interest(c)
		return
	}
	if !l.t.e.Gate().MayLeave(c.ticket) {
		l.t.logf("Closing client id=%d: the right to acknowledge writes ended before the reply could leave", c.sess.Num)
		l.close(c)
		return
	}
	if c.secure != nil && !l.flushRecords(c) {
		l.close(c)
		return
	}
	for most := flushMost; len(c.out) > 0 && most > 0 && c.secure == nil; {
		l.iov = l.iov[:0]
		for i, room := 0, most; i < len(c.out) && i < 64 && room > 0; i++ {
			if len(c.out[i].data) == 0 {
				continue
			}
			room -= len(c.out[i].data)
			v := unix.Iovec{Base: &c.out[i].data[0]}
			v.SetLen(len(c.out[i].data))
			l.iov = append(l.iov, v)
		}
		n, errno := rawSendmsg(c.fd, l.iov)
		clear(l.iov)
		if errno != 0 {
			if !retry(errno) {
				l.close(c)
				return
			}
			break
		}
		l.moved.wrote(n)
		most -= n
		if l.sent(c, n); c.outLen > 0 && n < 64<<10 {
			break // the socket is full: wait for it
		}
	}
	if c.drained() {
		c.out, c.ticket = nil, engine.Ticket{}
		if c.ends() && c.detach == nil && !c.inBatch && c.kept == nil {
			l.close(c)
			return
		}
	}
	l.limitOutput(c)
	l.interest(c)
}

// sent takes n bytes off the front of the unsent output.
func (l *loop) sent(c *conn, n int) {
	c.outLen -= int64(n)
	c.sess.OutputBytes.Store(c.unsent())
	c.account()
	for len(c.out) > 0 {
		front := &c.out[0]
		if n < len(front.data) {
			front.data = front.data[n:]
			return
		}
		n -= len(front.data)
		if front.blob != nil {
			front.blob.Release()
		}
		*front = chunk{}
		c.out = c.out[1:]
	}
}

// limitOutput closes a client that does not read its replies.
func (l *loop) limitOutput(c *conn) {
	if c.closed || c.unsent() == 0 {
		c.overAt = time.Time{}
		return
	}
	hard, soft, patience := l.t.sessions.OutputLimit(&c.sess)
	switch {
	case hard > 0 && c.unsent() >= hard:
	case soft > 0 && c.unsent() >= soft:
		if c.overAt.IsZero() {
			c.overAt = time.Now()
		}
		if time.Since(c.overAt) <= patience {
			return
		}
	default:
		c.overAt = time.Time{}
		return
	}
	l.overLimit(c)
}

func (l *loop) overLimit(c *conn) {
	l.t.logf("Client id=%d addr=%s scheduled to be closed ASAP for overcoming of output buffer limits.", c.sess.Num, c.RemoteAddr())
	l.close(c)
}

package transport

import (
	"slices"

	"golang.org/x/sys/unix"
)

// What comes in on a connection. Requests are read into the loop's arena, which all of them share, and are not copied from
// there. Only an incomplete command gets a buffer of its own.

const (
	readSize  = 16 << 10  // one read of a connection about which nothing is known
	longReach = 128 << 10 // one read of a connection with long commands
	headReach = 4 << 10   // one read of a connection whose commands are too long for the arena: they have buffers of their own
	longEach  = 512       // commands of so many bytes are long
	shortRest = 4 << 10   // what is left of a read and not longer goes back to the arena, where the next read goes on
	believed  = 64 << 10  // of an announced length, memory is made for so much before anything of it came
)

// readable reads from c and puts its complete commands into the batch, which is not full.
func (l *loop) readable(c *conn) {
	if c.inBatch { // two events for one connection: its commands are being batched already
		c.unread = true
		return
	}
	l.crowd.meet(&c.metAt)
	reach, rest := readSize, len(c.query)
	if c.reach > 0 {
		reach = min(c.reach, len(l.arena)/2) // with what goes before, at most an eighth of it or shortRest, it finds room in an arena that is not full
	}
	if need := c.parser.Need(); rest > max(shortRest, reach/8) || need > longReach {
		if !l.t.sessions.EvictAnnounced(&c.sess, need) {
			l.readBig(c)
		}
		return
	}
	room := l.arena[l.used:]
	n, errno := l.readFrom(c, room[rest:rest+reach])
	if l.lost(c, n, errno) || n <= 0 {
		return
	}
	if rest > 0 {
		copy(room, c.query)
		l.recycle(c.query)
		c.query = nil
	}
	l.moved.read(n)
	l.parseArena(c, rest+n)
	if c.inBatch && n == reach {
		l.readMore(c, room, rest+n)
	} else if rest == 0 && n < reach/4 { // the end of what another read cut says nothing
		c.reach = 0
	}
}

// full tells whether the batch is to be executed before anything more is read. The arena has room for another read while it is not.
func (l *loop) full() bool {
	return len(l.items) >= batchItems || l.used >= min(batchBytes, len(l.arena)/4) || len(l.items)*l.replyEach >= batchBytes
}

// parseArena parses the next n bytes of the arena.
func (l *loop) parseArena(c *conn, n int) {
	buf := l.arena[l.used : l.used+n : l.used+n]
	l.used += n
	l.parse(c, buf)
}

// readMore is called when a read brought all that it asked for, so that there are n bytes at the start of room. When that is
// nothing but the beginning of a long command there may be more of it. How much the next read asks for follows from what
// there was.
func (l *loop) readMore(c *conn, room []byte, n int) {
	need, commands := c.parser.Need(), c.last-c.first
	switch {
	case need > longReach:
		c.reach = headReach
	case n < (commands+1)*longEach:
		c.reach = 0
	default:
		c.reach = wholeReach(min(2*n, longReach), commands, c.done, n-c.done)
	}
	if commands > 0 || c.done > 0 || c.broken != nil || need <= n {
		return
	}
	c.inBatch = false
	l.batch = l.batch[:len(l.batch)-1]
	l.used -= n
	if l.t.sessions.EvictAnnounced(&c.sess, need) {
		return
	}
	if need > min(longReach, len(room)) {
		c.query = append(l.queryBuffer(n, need), room[:n]...)
		l.readBig(c)
		return
	}
	if more, _ := l.readFrom(c, room[n:need]); more > 0 { // when there is an end, the next turn finds it
		l.moved.read(more)
		n += more
	}
	l.parseArena(c, n)
}

// wholeReach makes reach one that ends where a command does, when commands of about the same length took done bytes so far and
// rest bytes of another are there: what a read cuts is copied twice before the next one brings its end.
func wholeReach(reach, commands, done, rest int) int {
	if commands == 0 {
		return reach
	}
	each := (done + commands - 1) / commands
	return (rest+reach+each-1)/each*each - rest
}

// readAtOnce bounds what one wake reads of a big command, so that others have their turn.
const readAtOnce = 1 << 20

// readBig reads on where an incomplete command was left, as long as more of it is there.
func (l *loop) readBig(c *conn) {
	for got := 0; got < readAtOnce; {
		need := c.parser.Need()
		c.query = l.room(c.query, need)
		space := c.query[len(c.query):cap(c.query)]
		if need > len(c.query) && need < cap(c.query) {
			space = space[:need-len(c.query)] // what follows is read into the arena
		}
		n, errno := l.readFrom(c, space)
		if got > 0 && n <= 0 {
			break // what came before is to be looked at first; the next turn finds an end
		}
		if l.lost(c, n, errno) || n <= 0 {
			return
		}
		l.moved.read(n)
		got += n
		c.query = c.query[:len(c.query)+n]
		if n < len(space) || len(c.query) >= need {
			break
		}
	}
	c.account()
	l.parse(c, c.query)
}

// lost closes c when its peer is gone.
func (l *loop) lost(c *conn, n int, errno unix.Errno) bool {
	if errno != 0 && retry(errno) {
		return false
	}
	if errno != 0 || n == 0 {
		l.close(c)
		return true
	}
	return false
}

const (
	smallBuffer = 1 << 10
	freeBuffers = 256
)

// buffer returns an empty buffer for at least n bytes.
func (l *loop) buffer(n int) []byte {
	if k := len(l.free); k > 0 && n <= smallBuffer {
		b := l.free[k-1]
		l.free = l.free[:k-1]
		return b
	}
	return make([]byte, 0, max(n, smallBuffer))
}

func (l *loop) recycle(b []byte) {
	switch {
	case mapped(b):
		l.bury(b)
	case cap(b) > 4*smallBuffer:
		l.spare.put(b)
	case cap(b) >= smallBuffer && len(l.free) < freeBuffers:
		l.free = append(l.free, b[:0])
	}
}

// queryBuffer returns an empty buffer for n bytes of a command that are there and need in all, 0: unknown. An announced
// length is not believed at once, unless the memory is there: it grows as bytes arrive.
func (l *loop) queryBuffer(n, need int) []byte {
	var b []byte
	switch {
	case need > mappedFrom && n >= mappedAt:
		b = mapBuffer(need)
	case need > 4*smallBuffer:
		b = l.spare.take(need)
	}
	if b != nil {
		return b
	}
	return l.buffer(max(n, min(need, max(4*n, believed))))
}

// room makes room in a query buffer for the next read: up to need when that is known, else for one read.
func (l *loop) room(b []byte, need int) []byte {
	if need > len(b) && need <= cap(b) || cap(b)-len(b) >= 512 {
		return b
	}
	if grown := remap(b, max(need, len(b)+readSize)); grown != nil {
		return grown
	}
	grown := append(l.queryBuffer(len(b)+1, max(need, len(b)+readSize)), b...)
	l.recycle(b)
	return grown
}

// spares are buffers of long commands, to be used again: to make and to zero them costs more than to fill them, and the
// collector would have to come for them again and again.
type spares struct {
	list  [][]byte // the latest last
	bytes int
	least int // the fewest that there were since trim
}

// What a loop keeps of them while they are in use. It is a bound for what many clients with long commands have under way
// together: what nobody took for a second goes.
const (
	spareBuffers = 128
	spareBytes   = 32 << 20
)

// take returns a buffer for n bytes that is not much too big, nil when there is none.
func (s *spares) take(n int) []byte {
	for i := len(s.list) - 1; i >= 0; i-- {
		if b := s.list[i]; cap(b) >= n && cap(b)/2 <= n {
			s.remove(i)
			return b[:0]
		}
	}
	return nil
}

// put keeps a buffer; the oldest give way.
func (s *spares) put(b []byte) {
	s.list = append(s.list, b)
	s.bytes += cap(b)
	for len(s.list) > spareBuffers || s.bytes > spareBytes {
		s.remove(0)
	}
}

func (s *spares) remove(i int) {
	s.bytes -= cap(s.list[i])
	s.list = slices.Delete(s.list, i, i+1)
	s.least = min(s.least, len(s.list))
}

// trim lets go those that were not needed since the last call.
func (s *spares) trim() {
	for range s.least {
		s.remove(0)
	}
	s.least = len(s.list)
}

package link

import "time"

// A stream that comes in many small pieces costs more in waking up for each of them than in applying them. So while it trickles
// the reader waits a moment between reads and takes what came meanwhile at once. It does not where somebody waits for the
// acknowledgement: see hurry.
const (
	gatherFor   = 10 * time.Millisecond
	trickleGap  = time.Millisecond // pieces that follow each other faster trickle
	trickleSize = 32 << 10         // larger pieces are worth a read of their own
	trickleRow  = 16               // pieces in a row that make a trickle
	trickleLeft = 512              // what came during a wait when the trickle is over
	hurryFor    = time.Second      // after a GETACK
)

// trickle watches the pieces of a stream.
type trickle struct {
	last   time.Duration // when the latest piece came
	row    int
	active bool
	waited bool // before the latest piece
}

// came takes note of a piece of n bytes and tells whether to wait before the next read: not when more lies there already, since a
// buffer for each wait would be all that a stream gets.
func (t *trickle) came(now time.Duration, n int) (wait bool) {
	gap := now - t.last
	t.last = now
	switch {
	case n >= trickleSize && !t.active, t.waited && n < trickleLeft:
		t.row, t.active = 0, false
	case t.active:
	case gap < trickleGap:
		t.row++
		t.active = t.row >= trickleRow
	default:
		t.row = 0
	}
	t.waited = t.active && n < readSize
	return t.waited
}

// stop ends a trickle: the next piece counts at once.
func (t *trickle) stop() { t.row, t.active, t.waited = 0, false, false }

// hurry notes that somebody waits for acknowledgements: for a while every piece counts at once.
func (u *upstream) hurry() {
	if u.conn != nil {
		u.conn.hurry.Store(int64(u.n.clock() + hurryFor))
	}
}

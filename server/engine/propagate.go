package engine

import (
	"strconv"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
)

// door is the one way from an effect to the log. A unit is what one command, one transaction or one expired key did: it
// goes out whole, in MULTI/EXEC when it has several effects, with SELECT where the database changes. Units of one hold
// are gathered and appended together.
//
// Invariant: pend holds whole units only, so no append cuts a transaction.
type door struct {
	pend     []byte
	wanted   oplog.Target
	selected int
}

var (
	multiBytes = resp.AppendCommandStrings(nil, "MULTI")
	execBytes  = resp.AppendCommandStrings(nil, "EXEC")
)

// keepPending bounds the memory that an idle door holds on to.
const keepPending = 256 << 10

func (d *door) begin(e *Engine, st State) {
	d.wanted = e.Log.Wanted()
	if st&Replica != 0 {
		d.wanted &= oplog.ToFile // what a replica writes on its own is no part of the master's stream
	}
	d.selected = e.Log.Selected()
}

// endUnit moves the effects of the unit that just ended to the pending bytes.
func (l *Lane) endUnit() {
	effects := l.ctx.Effects()
	if len(effects) == 0 {
		return
	}
	d := &l.door
	if d.wanted == 0 || l.applying {
		l.ctx.ResetEffects()
		return
	}
	wrap := len(effects) > 1
	for i := range effects {
		if db := effects[i].DB; db != d.selected {
			d.pend = appendSelect(d.pend, db)
			d.selected = db
		}
		if i == 0 && wrap {
			d.pend = append(d.pend, multiBytes...)
		}
		d.pend = append(d.pend, effects[i].Bytes...)
	}
	if wrap {
		d.pend = append(d.pend, execBytes...)
	}
	l.ctx.ResetEffects()
}

// flushAll appends what is pending to the log. The lock must be held exclusively when there is something.
func (l *Lane) flushAll() {
	l.endUnit()
	d := &l.door
	if len(d.pend) == 0 {
		return
	}
	l.e.Log.Append(d.pend, d.wanted)
	l.e.Log.SetSelected(d.selected)
	if cap(d.pend) > keepPending {
		d.pend = nil
	}
	d.pend = d.pend[:0]
}

// flushFor is flushAll before a command of c that may ask where c's own writes end.
func (l *Lane) flushFor(c *Client) {
	l.flushAll()
	if c.wrote {
		c.WriteOffset, c.wrote = l.e.Log.Offset(), false
	}
}

func appendSelect(dst []byte, db int) []byte {
	var tmp [20]byte
	return resp.AppendCommand(dst, selectBytes, strconv.AppendInt(tmp[:0], int64(db), 10))
}

var selectBytes = []byte("SELECT")

// Propagate appends an effect that no command made (a PING for the replicas, a PUBLISH). The lock must be held
// exclusively. A negative db means that the database does not matter.
func (e *Engine) Propagate(db int, target oplog.Target, args ...[]byte) {
	target &= e.Log.Wanted()
	if target == 0 {
		return
	}
	var p []byte
	if db >= 0 && db != e.Log.Selected() {
		p = appendSelect(p, db)
		e.Log.SetSelected(db)
	}
	e.Log.Append(resp.AppendCommand(p, args...), target)
}

package engine

import (
	"strconv"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
)

// door is the one way from an effect to the log. A unit is what one command, one transaction or one expired key did: it
// goes out whole, in MULTI/EXEC when it has several effects, with SELECT where the database changes. Units of one hold
// are gathered and appended together.
//
// Invariant: outside of endUnit pend holds whole units, so no hold of the lock ends within a transaction.
type door struct {
	pend     []byte
	target   oplog.Target // of what is pending
	wanted   oplog.Target
	selected int
	home     int // a replica's: the database of its master's stream, in which the file goes on after own writes
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
	d.target = d.wanted
	d.selected = e.Log.Selected()
	d.home = oplog.NoDB
	if st&Replica != 0 {
		d.home = d.selected
	}
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
	union, n := d.readers(effects)
	wrap := n > 1
	for i := range effects {
		to := d.to(effects[i].Skip)
		if to == 0 {
			continue
		}
		if db := effects[i].DB; db != d.selected {
			l.pendFor(d.wanted)
			d.pend = appendSelect(d.pend, db)
			d.selected = db
		}
		if wrap {
			l.pendFor(union)
			d.pend = append(d.pend, multiBytes...)
			wrap = false
		}
		l.pendFor(to)
		d.pend = append(d.pend, effects[i].Bytes...)
	}
	if n > 1 {
		l.pendFor(union)
		d.pend = append(d.pend, execBytes...)
	}
	if n > 0 && d.home != oplog.NoDB && d.selected != d.home {
		l.pendFor(d.wanted)
		d.pend = appendSelect(d.pend, d.home)
		d.selected = d.home
	}
	l.ctx.ResetEffects()
}

// to is who gets an effect.
func (d *door) to(skip command.Skip) oplog.Target {
	to := d.wanted
	if skip&command.SkipReplicas != 0 {
		to &^= oplog.ToReplicas
	}
	if skip&command.SkipFile != 0 {
		to &^= oplog.ToFile
	}
	return to
}

// readers tells who gets any of the effects, and how many of them anybody gets.
func (d *door) readers(effects []command.Effect) (union oplog.Target, n int) {
	for i := range effects {
		if to := d.to(effects[i].Skip); to != 0 {
			union |= to
			n++
		}
	}
	return union, n
}

// pendFor appends what is pending for other readers, so that what follows can be for these. It all happens under one hold
// of the lock: nobody sees the log between the parts of a unit.
func (l *Lane) pendFor(to oplog.Target) {
	d := &l.door
	if d.target != to && len(d.pend) > 0 {
		l.e.Log.AppendPart(d.pend, d.target)
		d.pend = d.pend[:0]
	}
	d.target = to
}

// flushAll appends what is pending to the log. The lock must be held exclusively when there is something.
func (l *Lane) flushAll() {
	l.endUnit()
	l.flushUnits()
}

// flushUnits is flushAll without the unit at hand.
func (l *Lane) flushUnits() {
	d := &l.door
	if len(d.pend) == 0 {
		return
	}
	l.e.dataEnd.Store(l.e.Log.Append(d.pend, d.target))
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
		c.wroteUpTo(l.e.Log)
	}
}

func (c *Client) wroteUpTo(log *oplog.Log) {
	c.WriteOffset, c.WritePos, c.wrote = log.Offset(), log.WholePos(), false
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

package repl

import (
	"strconv"
	"strings"
)

// Line is what a master tells of its replication: bytes up to Offset are of history ID, those below Second of ID2 as well.
type Line struct {
	ID, ID2        string
	Offset, Second int64
}

// end is the offset up to which the master shares history id; known is false when it does not know it.
func (l Line) end(id string) (offset int64, known bool) {
	switch {
	case id == "" || l.ID == "":
	case strings.EqualFold(id, l.ID):
		return l.Offset, true
	case strings.EqualFold(id, l.ID2) && l.Second > 0:
		return l.Second - 1, true
	}
	return 0, false
}

// claim is what PSYNC asks to continue: the history id behind an offset.
type claim struct {
	id     string
	offset int64
}

// shared is up to where a server at p has a master's history, and under which ID both know it; known is false when nothing tells.
func (p Place) shared(master Line) (c claim, known bool) {
	if end, known := master.end(p.ID); known {
		return claim{p.ID, min(end, p.Offset)}, true
	}
	if end, known := master.end(p.ID2); known && p.Second > 0 {
		return claim{p.ID2, min(end, p.Second-1, p.Offset)}, true
	}
	return claim{}, false
}

// claim is the best that this server can ask of a master: its own place, unless the master is known to refuse that. Then the place
// where the two part, if nothing but heartbeats lies behind it here: in the present history (a master that was replaced, and went on
// sending PING), or in the one before (a replica that was promoted and wrote nothing).
func (p Place) claim(master Line) claim {
	own := claim{p.ID, p.Offset}
	if c, known := p.shared(master); known && c != own && p.Idle != nil && p.Idle(c.offset) {
		return c
	}
	return own
}

// mostBehind is how many attempts a replica waits for a master that has not come as far as it has itself.
const mostBehind = 10

// ahead tells whether this server has bytes of the master's present history that the master lacks, as happens when replicas of one
// master are hung below each other: they are on their way there, and a full sync for want of them would be needless.
func (r *Replica) ahead(c claim) bool {
	m := r.master.IDs
	return r.place.Idle != nil && !r.s.Failover && strings.EqualFold(c.id, m.ID) && c.offset > m.Offset && r.behind < mostBehind
}

// askPSYNC ends the handshake.
func (r *Replica) askPSYNC(now Millis) {
	c := r.place.claim(r.master.IDs)
	if r.ahead(c) {
		r.behind++
		r.log(Notice, "The master is at offset %d of the history that this server has up to %d: it is asked again when it may have come as far", r.master.IDs.Offset, c.offset)
		r.fail(now)
		return
	}
	r.become(AskPSYNC)
	r.claim = c
	switch {
	case r.s.OldProtocol:
		r.askSYNC()
	case r.place.ID == "":
		r.log(Notice, "Partial resynchronization not possible (no cached master)")
		r.send("psync", "PSYNC", "?", "-1")
	default:
		next := strconv.FormatInt(c.offset+1, 10)
		if c.offset < r.place.Offset || c.id != r.place.ID {
			r.log(Notice, "The master knows the history %s up to offset %d, and nothing but heartbeats follows here up to %d: this server goes on from there", c.id, c.offset, r.place.Offset)
		}
		r.log(Notice, "Trying a partial resynchronization (request %s:%s).", c.id, next)
		if r.s.Failover {
			r.send("psync", "PSYNC", c.id, next, "FAILOVER")
		} else {
			r.send("psync", "PSYNC", c.id, next)
		}
	}
}

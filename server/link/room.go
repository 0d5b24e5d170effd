package link

import (
	"errors"
	"fmt"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
)

// room watches over the memory that two data sets take, the old one and the one that is loaded beside it.
type room struct {
	u     *upstream
	limit int64 // bytes, 0: none
	into  *store.Store
	// patient: the payload comes from the socket. Where it turns out not to fit, the next attempt goes to a file, so that the old
	// data is not given up for something that has not arrived.
	patient bool
	gaveUp  bool
	tight   bool // it did not fit, and patience has ended the load
}

var errTight = errors.New("two data sets do not fit into memory: the next attempt receives the whole payload before the old data is given up")

// memoryLimit is what the data sets may take: maxmemory or, without one, three quarters of what the process may have. 0: anything.
func (n *Node) memoryLimit() int64 {
	if limit := n.s.Int(settings.MaxMemory); limit > 0 {
		return limit
	}
	return n.o.MemoryLimit / 4 * 3
}

// newRoom makes the store to load into. Where a payload of that size (-1: unknown) cannot fit beside the old data, that goes
// first, as in Redis. A payload is smaller in a file than in memory, so the rest is seen during the load.
func (u *upstream) newRoom(size int64, fromSocket bool) *room {
	r := &room{u: u, limit: u.n.memoryLimit(), patient: fromSocket && u.n.s.Enum(settings.ReplDisklessLoad) != settings.DisklessLoadSwapDB}
	u.n.e.Exclusive(func() {
		st := u.n.e.Store()
		r.into = st.Sibling()
		used := st.UsedBytes()
		if size < 0 {
			size = used
		}
		if r.limit > 0 && used+size > r.limit && !u.gone.Load() {
			r.giveUpLocked(size)
		}
	})
	r.reclaim()
	return r
}

// check is called while the load goes on.
func (r *room) check() (fits bool) {
	if r.limit == 0 || r.gaveUp || r.into.HeldBytes() <= r.limit {
		return true
	}
	if r.patient {
		r.tight = true
		return false
	}
	r.u.n.e.Exclusive(func() {
		st := r.u.n.e.Store()
		if st.UsedBytes() > 0 && !r.u.gone.Load() {
			r.giveUpLocked(r.into.HeldBytes() - st.UsedBytes())
		}
	})
	r.reclaim()
	r.gaveUp = true // there is nothing more to give
	return true
}

func (r *room) giveUpLocked(size int64) {
	n := r.u.n
	n.logf(repl.Notice, fmt.Sprintf("MASTER <-> REPLICA sync: Flushing old data (%d bytes of memory cannot hold %d bytes more)", r.limit, size))
	n.e.SetState(engine.Loading, 0)
	n.e.Store().FlushAll()
	n.loseLocked()
	r.gaveUp = true
}

// reclaim waits until the old data's memory is free: the load would take new memory faster than it is given back in the background.
func (r *room) reclaim() {
	for more := r.gaveUp; more; {
		r.u.n.e.Exclusive(func() { more = r.u.n.e.Store().Reclaim(reclaimStep) })
	}
}

// reclaimStep is the number of pages or slots that are freed in one hold of the lock.
const reclaimStep = 500

// loseLocked gives up the place in the history together with the data: what comes of the load is not known yet, and an empty
// data set that kept its offset would go on from there, or be taken for the best copy (S2). The engine's lock must be held.
func (n *Node) loseLocked() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.Follow(newID(), 0, nil)
	n.noteIDs()
	n.dropPeers()
	if m := n.o.Managed; m != nil && m.Lost != nil {
		m.Lost()
	}
}

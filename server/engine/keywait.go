package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// A client in BLPOP and its kin stands in one queue per key. A write to such a key makes the queue ready; when the unit of
// effects that wrote is closed (a command, a transaction, a script, a stretch of the master's stream), the clients of the
// ready queues are asked in the order of their arrival whether the key can serve them. Serving is a unit of its own: its
// effects follow those of the write that made it possible, and may make further queues ready.
//
// Invariant: outside of serveReady no queue is empty, and every place in one belongs to a client that can be claimed.

// keyWaiter is a client that waits for keys.
type keyWaiter struct {
	w      *Waiter
	cmd    *command.Cmd
	args   [][]byte // copied: the request's buffer is reused
	db     int
	number uint64 // in the order of arrival
	wait   command.Wait
	places []*place
}

// place is a client's place in the queue of one key.
type place struct {
	q          *waitQueue
	kw         *keyWaiter
	prev, next *place
}

// waitQueue holds the clients that wait for one key, the longest waiting first.
type waitQueue struct {
	db          int
	key         string
	first, last *place
	ready       bool
	bereft      int // places whose clients want to know that the key is gone
}

// keyWaits are the queues of all keys. The engine's lock guards them.
type keyWaits struct {
	queues []map[string]*waitQueue // by database
	count  uint64                  // of arrivals
	ready  []*waitQueue
}

// Block implements command.Env.
func (v *env) Block(ctx *command.Ctx, wait command.Wait) bool {
	e := v.e
	if ctx.NoBlocking || !e.CanBlock(ctx) {
		return false
	}
	c := Of(ctx)
	kw := &keyWaiter{cmd: ctx.Cmd, args: copyArgs(ctx.Args), db: ctx.DBIndex, wait: wait}
	timeout := time.Duration(0)
	if wait.Timeout > 0 && wait.Timeout < int64(1<<63-1)/int64(time.Millisecond) {
		timeout = time.Duration(wait.Timeout) * time.Millisecond // later than that is never
	}
	e.waits.count++
	kw.number = e.waits.count
	kw.w = e.Block(c, wait.Kind, timeout, wait.Expired, func() { e.waits.leave(kw) })
	for _, key := range wait.Keys {
		e.waits.join(kw, key)
	}
	kw.wait.Keys = nil
	return true
}

// Wake implements command.Env.
func (v *env) Wake(db int, key []byte) { v.e.changed(db, key) }

func copyArgs(args [][]byte) [][]byte {
	var t transaction
	t.add(&command.Cmd{Row: &command.Row{}}, 0, args)
	return t.queue[0].args
}

// join puts a client at the end of a key's queue, once.
func (k *keyWaits) join(kw *keyWaiter, key []byte) {
	m := k.queues[kw.db]
	if m == nil {
		m = map[string]*waitQueue{}
		k.queues[kw.db] = m
	}
	q := m[string(key)]
	if q == nil {
		q = &waitQueue{db: kw.db, key: string(key)}
		m[q.key] = q
	}
	if q.last != nil && q.last.kw == kw {
		return
	}
	for _, p := range kw.places {
		if p.q == q {
			return
		}
	}
	p := &place{q: q, kw: kw, prev: q.last}
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
	if kw.wait.Bereft {
		q.bereft++
	}
	kw.places = append(kw.places, p)
}

// leave takes a client out of its queues.
func (k *keyWaits) leave(kw *keyWaiter) {
	for _, p := range kw.places {
		q := p.q
		if p.prev == nil {
			q.first = p.next
		} else {
			p.prev.next = p.next
		}
		if p.next == nil {
			q.last = p.prev
		} else {
			p.next.prev = p.prev
		}
		if kw.wait.Bereft {
			q.bereft--
		}
		if q.first == nil {
			delete(k.queues[q.db], q.key)
		}
	}
	kw.places = nil
}

// changed makes a key's queue ready when there may be something for somebody. The order in which queues become ready is
// the order in which they are served, so it must be that in which the keys came: a key that went does not count.
func (e *Engine) changed(db int, key []byte) {
	if m := e.waits.queues[db]; len(m) > 0 {
		if q := m[string(key)]; q != nil && e.mayServe(q) {
			e.waits.markReady(q)
		}
	}
}

// mayServe tells whether the key of a queue has a value of a kind for which clients wait, or is awaited in any case.
func (e *Engine) mayServe(q *waitQueue) bool {
	entry, there := e.store.DB(q.db).Peek([]byte(q.key))
	if !there {
		return q.bereft > 0
	}
	switch entry.Kind() {
	case store.ListKind, store.ZSetKind, store.StreamKind:
		return true
	}
	return q.bereft > 0
}

func (k *keyWaits) markReady(q *waitQueue) {
	if !q.ready {
		q.ready = true
		k.ready = append(k.ready, q)
	}
}

// swapped makes the queues of a database whose contents are others now ready, the longest waiting client's first.
func (e *Engine) swapped(db int) {
	var ready []*waitQueue
	for _, q := range e.waits.queues[db] {
		if e.mayServe(q) {
			ready = append(ready, q)
		}
	}
	slices.SortFunc(ready, func(a, b *waitQueue) int { return cmp.Compare(a.first.kw.number, b.first.kw.number) })
	for _, q := range ready {
		e.waits.markReady(q)
	}
}

// flushed makes the queues of a database that loses its contents ready as far as somebody wants to know.
func (k *keyWaits) flushed(db int) {
	for _, q := range k.queues[db] {
		if q.bereft > 0 {
			k.markReady(q)
		}
	}
}

// serveReady serves the clients of the queues that became ready. A unit must just have ended.
func (l *Lane) serveReady() {
	k := &l.e.waits
	for len(k.ready) > 0 {
		q := k.ready[0]
		k.ready[0] = nil
		k.ready = k.ready[1:]
		q.ready = false
		l.serveQueue(q)
	}
	k.ready = nil
}

// serveQueue goes on as long as the key may have something for somebody.
func (l *Lane) serveQueue(q *waitQueue) {
	key := []byte(q.key)
	for p := q.first; p != nil; {
		next := p.next
		if _, there := l.e.store.DB(q.db).Peek(key); !there && q.bereft == 0 {
			return
		}
		l.serve(p.kw, key)
		p = next
	}
}

// serve asks whether the key can serve a client, and answers the client if so.
func (l *Lane) serve(kw *keyWaiter, key []byte) {
	if why := l.refusesNow(kw); why != "" {
		l.turnAway(kw, why)
		return
	}
	c, ctx := kw.w.c, &l.ctx
	out := resp.NewWriter(nil)
	out.SetProto(c.Proto)
	ctx.Out = out
	l.runFor(c)
	ctx.DBIndex, ctx.DB = kw.db, l.e.store.DB(kw.db)
	ctx.Now = l.nowMS()
	ctx.Begin(kw.cmd, kw.args)
	served := kw.wait.Serve(ctx, key)
	ctx.Finish()
	ctx.Out = l.Out
	if !served {
		l.endUnit() // an expired key may have gone
		return
	}
	var ticket Ticket
	if ctx.IsDirty() {
		c.wrote = true
		ticket = l.entry
	}
	l.endUnit()
	if out.Errors() > 0 {
		l.stats.commands[kw.cmd.Index].Failed++
		l.countErrorOf(out)
	}
	l.e.waits.leave(kw)
	kw.w.spent += l.clock()
	kw.w.release()
	if kw.w.spent >= l.e.stats.slow() { // in its own words; the wait does not count, and as in Redis a timeout is not told
		l.e.stats.noteSlow(l, c, kw.cmd, kw.args, kw.w.spent)
	}
	c.Owner.Deliver(ticket, func(w *resp.Writer) { w.Take(out) })
}

// refusesNow answers why a client that waits would not get what has come if it asked only now: its user may have lost the right to
// it meanwhile. Redis looks again since 7.2.
func (l *Lane) refusesNow(kw *keyWaiter) string {
	if l.st&OutOfMemory != 0 && kw.cmd.Flags&command.DenyOOM != 0 {
		return errOOM
	}
	return kw.w.c.Forbidden(kw.cmd, kw.args, AtTop)
}

// turnAway ends a client's wait with an error; what it waited for is left to those behind it.
func (l *Lane) turnAway(kw *keyWaiter, why string) {
	out := resp.NewWriter(nil)
	out.Error(why)
	l.stats.commands[kw.cmd.Index].Rejected++
	l.countErrorOf(out)
	l.e.waits.leave(kw)
	kw.w.release()
	kw.w.c.Owner.Deliver(Ticket{}, func(w *resp.Writer) { w.Take(out) })
}

// serveLocked is serveReady, and what else follows from changes, for those who hold the lock exclusively without being a
// lane.
func (e *Engine) serveLocked() {
	if len(e.waits.ready) > 0 {
		e.bg.flushAll()
		e.bg.enter()
		e.bg.serveReady()
	}
	e.settleTracking()
}

// errChanged is what blocked clients get when their server becomes a replica.
const errChanged = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

// DropWaiting answers the clients that wait for keys with an error and closes them: the server becomes a replica, and
// what they wait for may not come, or not be theirs. Those that want the master, whichever server that is, wait there
// instead. The lock must be held exclusively.
func (e *Engine) DropWaiting() {
	for _, m := range e.waits.queues {
		for _, q := range m {
			for q.first != nil {
				kw := q.first.kw
				if c := kw.w.c; !e.waitElsewhere(kw) {
					e.Unblock(c, errChanged)
					if !c.Has(WantsMaster) {
						c.Owner.Kill("the server became a replica")
					}
				}
			}
		}
	}
}

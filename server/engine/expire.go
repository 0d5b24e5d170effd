package engine

import (
	"sync/atomic"
	"time"
)

// expiry is the cycle that deletes keys whose time has passed without anybody asking for them.
type expiry struct {
	on     atomic.Bool   // DEBUG SET-ACTIVE-EXPIRE
	effort atomic.Int64  // active-expire-effort less one: 0 to 9
	spent  time.Duration // in the cycle; guarded by the engine's exclusive lock, as is
	capped int64         // cycles that their share of the time ended
}

const (
	expirePeriod = 100 * time.Millisecond
	// expireBatch is the number of keys looked at per slice of the lock.
	expireBatch = 200
)

// SetExpireEffort is active-expire-effort, 1 to 10. As in Redis it widens the share of the time and lowers what may stay
// behind: from a quarter of the time and 5 % of the keys looked at, to 43 % and 0.5 %.
func (e *Engine) SetExpireEffort(effort int64) { e.expiry.effort.Store(min(max(effort, 1), 10) - 1) }

// expireShare bounds one cycle, as Redis' slow one.
func (e *Engine) expireShare() time.Duration {
	return expirePeriod * time.Duration(25+2*e.expiry.effort.Load()) / 100
}

// expireWorth is how many of expireBatch keys must have expired for the cycle to go on at once.
func (e *Engine) expireWorth() int { return expireBatch * int(10-e.expiry.effort.Load()) / 200 }

// SetActiveExpire switches the cycle on or off.
func (e *Engine) SetActiveExpire(on bool) { e.expiry.on.Store(on) }

// ExpireSpent is how long the cycle has worked. The lock must be held exclusively.
func (e *Engine) ExpireSpent() time.Duration { return e.expiry.spent }

// ExpireCapped is how many cycles had more to do than their share of the time let them. The lock must be held exclusively.
func (e *Engine) ExpireCapped() int64 { return e.expiry.capped }

func (e *Engine) expireLoop() {
	defer e.work.Done()
	tick := time.NewTicker(expirePeriod)
	defer tick.Stop()
	for {
		select {
		case <-e.done:
			return
		case <-tick.C:
		}
		if e.expiry.on.Load() && e.State()&(Replica|Loading|pausedAll|pausedWrites) == 0 && e.gate.Open() {
			e.expireCycle()
		}
		if e.expiry.on.Load() && e.Is(Replica) {
			e.expireOwn()
		}
		e.reclaim()
		e.evictCycle()
		e.trackingCycle()
	}
}

// expireCycle visits each database until little is found or its share of the time is used up. Only a master that may
// write expires: replicas wait for its DEL.
func (e *Engine) expireCycle() {
	end := time.Now().Add(e.expireShare())
	for db := 0; db < e.store.Databases(); db++ {
		e.Background(func() bool {
			if e.State()&(Replica|Loading|pausedAll|pausedWrites) != 0 || e.store.DB(db).Expires() == 0 {
				return false
			}
			if !e.expireSlice(db) {
				return false
			}
			if time.Now().Before(end) {
				return true
			}
			e.expiry.capped++
			return false
		})
	}
}

// expireSlice deletes expired keys of one database, with the lock held, and propagates a DEL for each. It reports whether
// it is worth to go on at once.
func (e *Engine) expireSlice(db int) bool {
	l, began := e.bg, time.Now()
	defer func() {
		took := time.Since(began)
		e.expiry.spent += took
		e.spikes.Note(SpikeExpireCycle, took)
	}()
	l.enter()
	l.ctx.DBIndex, l.ctx.DB, l.ctx.Now = db, e.store.DB(db), l.wallBase/1e6
	found, more := l.ctx.DB.ExpireStep(l.ctx.Now, expireBatch, int(e.expiry.effort.Load()), func(key []byte) {
		l.ctx.DeleteExpired(key)
		l.endUnit()
	})
	return more && found >= e.expireWorth()
}

// expireMet deletes the expired keys that the readers of a hold met, before their replies leave: who was told that a key
// is gone does not find it counted afterwards, and a key that nobody but readers touches does not stay for ever.
func (e *Engine) expireMet(l *Lane) {
	if e.State()&(Replica|Loading|pausedAll|pausedWrites) != 0 || !e.gate.Open() {
		return
	}
	if l.standIn {
		return
	}
	e.lockAnyhow()
	defer e.mu.Unlock()
	if e.busy.on.Load() {
		return // the next hold sees to it
	}
	l.exclusive = true
	l.enter()
	if l.st&(Replica|Loading|pausedAll|pausedWrites) != 0 {
		return // it changed since
	}
	l.ctx.Now = l.nowMS()
	e.store.ExpireHinted(l.ctx.Now, func(db int, key []byte) {
		l.ctx.DBIndex, l.ctx.DB = db, e.store.DB(db)
		l.ctx.DeleteExpired(key)
		l.endUnit()
	})
	l.serveReady()
	l.flushAll()
	e.settleTracking()
	e.askHolders()
}

// reclaimStep is the number of slots or pages that one slice gives back.
const reclaimStep = 500

// defragSteps bounds the steps of moving entries in one cycle: some 5 % of a core.
const defragSteps = 50

// reclaim frees what FLUSHALL and its kin detached, and then closes some of the holes that deletions left.
func (e *Engine) reclaim() {
	e.Background(func() bool { return e.store.Reclaim(reclaimStep) })
	steps := 0
	e.Background(func() bool { steps++; return e.store.Defrag(reclaimStep) && steps < defragSteps })
}

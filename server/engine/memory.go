package engine

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

// memoryLimit is maxmemory and what happens at it.
type memoryLimit struct {
	limit          atomic.Int64
	replicaIgnores atomic.Bool
	evicting       atomic.Bool  // the policy is one that evicts
	clients        atomic.Int64 // bytes that clients use
	code           atomic.Int64 // bytes of scripts and functions, which count like data

	// Guarded by the engine's exclusive lock.
	policy   Eviction
	pool     []candidate // the best known victims, the best one last
	nextDB   int         // where the random policies go on
	evicted  int64
	over     time.Time     // since when the limit is exceeded; zero: it is not
	overTime time.Duration // in all before
}

// OverLimit tells for how long the limit was exceeded, in all and without a break until now. The lock must be held
// exclusively.
func (e *Engine) OverLimit() (total, current time.Duration) {
	m := &e.memory
	if !m.over.IsZero() {
		current = time.Since(m.over)
	}
	return m.overTime + current, current
}

// noteOver keeps the time for which the limit is exceeded.
func (m *memoryLimit) noteOver(now time.Time, is bool) {
	switch {
	case is && m.over.IsZero():
		m.over = now
	case !is && !m.over.IsZero():
		m.overTime += now.Sub(m.over)
		m.over = time.Time{}
	}
}

// Eviction is maxmemory-policy with its directives. The zero value evicts nothing.
type Eviction struct {
	kind     evictKind
	volatile bool // only keys with an expiry
	samples  int
	slice    time.Duration // longest work before a batch
}

type evictKind uint8

const (
	evictNothing evictKind = iota
	evictIdle
	evictRare
	evictRandom
	evictSoonest
)

// NewEviction reads maxmemory-policy, maxmemory-samples and maxmemory-eviction-tenacity.
func NewEviction(policy string, samples, tenacity int) Eviction {
	from, how, _ := strings.Cut(policy, "-")
	kinds := map[string]evictKind{"lru": evictIdle, "lfu": evictRare, "random": evictRandom, "ttl": evictSoonest}
	return Eviction{kind: kinds[how], volatile: from == "volatile", samples: samples, slice: tenacityLimit(tenacity)}
}

// tenacityLimit is Redis's scale: 50 us a step up to 10, then 15 % more for each, and no limit at 100.
func tenacityLimit(n int) time.Duration {
	switch {
	case n <= 10:
		return time.Duration(n) * 50 * time.Microsecond
	case n >= 100:
		return time.Hour
	}
	us := 500.0
	for ; n > 10; n-- {
		us *= 1.15
	}
	return time.Duration(us) * time.Microsecond
}

// candidate is a key that was sampled; the higher its score, the sooner it goes.
type candidate struct {
	db    int
	key   string
	score int64
}

const evictionPool = 16

// SetMaxMemory sets the bytes that the data set may use; 0 means no limit.
func (e *Engine) SetMaxMemory(limit int64) { e.memory.limit.Store(limit) }

// SetCodeBytes tells how much scripts and functions take.
func (e *Engine) SetCodeBytes(n int64) { e.memory.code.Store(n) }

// AddCodeBytes tells that they take n bytes more.
func (e *Engine) AddCodeBytes(n int64) { e.memory.code.Add(n) }

// used is what counts against maxmemory.
func (e *Engine) used() int64 { return e.store.UsedBytes() + e.besides() }

// besides is what counts against maxmemory besides the data.
func (e *Engine) besides() int64 {
	n := e.memory.code.Load() + e.memory.clients.Load() + leastUsed
	if e.tracking.on {
		_, _, bytes := e.tracking.table.Len()
		n += bytes
	}
	return n + e.Log.Backlog().Own
}

// leastUsed is what an empty server takes at least, so that no limit can be kept by it that is below.
const leastUsed = 512

// SetReplicaIgnoresMaxMemory is replica-ignore-maxmemory: as a replica the server leaves eviction to its master and
// refuses nothing.
func (e *Engine) SetReplicaIgnoresMaxMemory(on bool) { e.memory.replicaIgnores.Store(on) }

// SetEviction changes the policy. The lock must be held exclusively, or nobody be served yet.
func (e *Engine) SetEviction(p Eviction) {
	e.memory.policy, e.memory.pool = p, nil
	e.memory.evicting.Store(p.kind != evictNothing)
}

// lockToRead takes the lock shared with other readers, unless keys must go: then readers too take it for themselves and evict,
// as every command does in Redis.
func (e *Engine) lockToRead() (locked bool) {
	e.rlock()
	if e.wantsRoom() {
		e.mu.RUnlock()
		return false
	}
	return true
}

// wantsRoom tells that keys must go. The lock is held.
func (e *Engine) wantsRoom() bool {
	limit := e.memory.limit.Load()
	return limit > 0 && e.memory.evicting.Load() && e.used() > limit
}

// judge makes room when the limit is exceeded, and answers OutOfMemory when it cannot. It runs once per hold, after the
// door was opened: one batch may overshoot the limit by its own size. A hold that shares the lock with readers cannot
// evict; it need not either, since it does not write.
func (m *memoryLimit) judge(l *Lane) State {
	limit := m.limit.Load()
	switch {
	case l.st&Replica != 0 && m.replicaIgnores.Load(), l.e.used() <= limit:
		return 0
	case l.st&(Loading|Parked|pausedAll|pausedWrites) != 0, !l.gateOpen:
		return 0 // as in Redis nothing is evicted meanwhile; without the right to write there is nothing to refuse
	case l.exclusive:
		return l.e.evict(l, limit)
	case m.policy.kind == evictNothing:
		return OutOfMemory
	}
	return 0
}

// evict deletes keys until the data set fits again. When its time is up the rest is left to later holds and to the
// cycle, and writes go on meanwhile, as in Redis.
func (e *Engine) evict(l *Lane, limit int64) State {
	m, began := &e.memory, time.Now()
	defer func() { e.spikes.Note(SpikeEvictCycle, time.Since(began)) }()
	besides := e.besides()
	over := func() bool { return e.store.UsedBytes()+besides > limit }
	m.noteOver(began, true)
	defer func() { m.noteOver(time.Now(), over()) }()
	late := func() bool { return time.Since(began) > max(m.policy.slice, holdTime) }
	for over() && e.store.Reclaim(reclaimStep) { // what FLUSHALL detached goes first
		if late() {
			return 0
		}
	}
	for n := 1; over(); n++ {
		db, key, ok := m.victim(l)
		if !ok {
			return OutOfMemory
		}
		l.ctx.DBIndex, l.ctx.DB = db, e.store.DB(db)
		if l.ctx.Evict(key) {
			m.evicted++
			l.endUnit()
		}
		if n%16 == 0 && late() {
			return 0
		}
	}
	return 0
}

// victim chooses the next key to go.
func (m *memoryLimit) victim(l *Lane) (db int, key []byte, ok bool) {
	switch m.policy.kind {
	case evictNothing:
		return 0, nil, false
	case evictRandom:
		return m.anyKey(l)
	}
	for range 2 * evictionPool { // a candidate may be gone by now: the pool is filled anew until one is there
		if !m.fillPool(l) {
			return 0, nil, false
		}
		for len(m.pool) > 0 {
			c := m.pool[len(m.pool)-1]
			m.pool = m.pool[:len(m.pool)-1]
			if x, there := l.e.store.DB(c.db).Peek([]byte(c.key)); there && (!m.policy.volatile || x.ExpireAt() != 0) {
				return c.db, []byte(c.key), true
			}
		}
	}
	return m.anyKey(l)
}

// anyKey takes a random key, from the databases in turn.
func (m *memoryLimit) anyKey(l *Lane) (db int, key []byte, ok bool) {
	st := l.e.store
	for range st.Databases() {
		db, m.nextDB = m.nextDB, (m.nextDB+1)%st.Databases()
		st.DB(db).Sample(l.ctx.Random(), 1, m.policy.volatile, func(x store.Entry) { key, ok = append([]byte(nil), x.Key()...), true })
		if ok {
			return db, key, true
		}
	}
	return 0, nil, false
}

// fillPool samples every database and reports whether there was anything to sample.
func (m *memoryLimit) fillPool(l *Lane) (any bool) {
	st, now := l.e.store, l.nowMS()
	for db := range st.Databases() {
		st.DB(db).Sample(l.ctx.Random(), m.policy.samples, m.policy.volatile, func(x store.Entry) {
			any = true
			m.offer(db, x, m.policy.score(x, now))
		})
	}
	return any
}

func (p *Eviction) score(x store.Entry, now int64) int64 {
	switch p.kind {
	case evictIdle:
		return x.IdleSeconds(now)
	case evictRare:
		return 255 - int64(x.Frequency(now))
	}
	return -x.ExpireAt()
}

// offer puts an entry into the pool when it is better than the worst one there.
func (m *memoryLimit) offer(db int, x store.Entry, score int64) {
	at := 0
	for at < len(m.pool) && m.pool[at].score < score {
		at++
	}
	if at == 0 && len(m.pool) == evictionPool {
		return
	}
	for _, c := range m.pool {
		if c.db == db && c.key == string(x.Key()) {
			return
		}
	}
	m.pool = append(m.pool, candidate{})
	copy(m.pool[at+1:], m.pool[at:])
	m.pool[at] = candidate{db, string(x.Key()), score}
	if len(m.pool) > evictionPool {
		m.pool = append(m.pool[:0], m.pool[1:]...)
	}
}

// evictCycle goes on where evict ran out of time, also when no client writes.
func (e *Engine) evictCycle() {
	limit := e.memory.limit.Load()
	if limit <= 0 {
		return
	}
	steps := 0
	e.Background(func() bool {
		steps++
		e.bg.enter()
		return steps < evictSteps && e.bg.st&OutOfMemory == 0 && e.memory.policy.kind != evictNothing && e.evicts() && e.used() > limit
	})
}

// evicts tells whether this server may evict now.
func (e *Engine) evicts() bool {
	st := e.State()
	return st&(Loading|Parked|pausedAll|pausedWrites) == 0 && e.gate.Open() && (st&Replica == 0 || !e.memory.replicaIgnores.Load())
}

// evictSteps bounds the slices of one cycle.
const evictSteps = 50

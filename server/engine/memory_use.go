package engine

// MemoryUse is what uses memory, in bytes. The data is exact; so is what clients are accounted for, which is their buffers,
// transactions, watches and subscriptions and a fixed share for each connection.
type MemoryUse struct {
	Data     int64 // keys and values, their tables, and what is detached and not freed yet
	Code     int64 // scripts and functions
	Tracking int64 // the table of client-side caching
	Clients  int64
	Backlog  int64 // of the log, what would be held without any reader
	Readers  int64 // of the log, what is held for replicas, and for the append-only file, that are behind
}

// Counted is what maxmemory limits: everything but what is held for replicas and for the file, as in Redis. Else a slow
// replica would cost keys, whose deletions would make it slower still.
func (m MemoryUse) Counted() int64 { return m.Data + m.Code + m.Tracking + m.Clients + m.Backlog }

// Total is all of it.
func (m MemoryUse) Total() int64 { return m.Counted() + m.Readers }

// MemoryUse tells what uses memory. The lock must be held, in either mode.
func (e *Engine) MemoryUse() MemoryUse {
	u := MemoryUse{Data: e.store.UsedBytes(), Code: e.memory.code.Load(), Clients: e.memory.clients.Load()}
	_, _, u.Tracking = e.tracking.table.Len()
	log := e.Log.Backlog()
	u.Backlog, u.Readers = log.Own, log.Behind
	return u
}

// AddClientBytes tells that clients use n bytes more, or less.
func (e *Engine) AddClientBytes(n int64) { e.memory.clients.Add(n) }

// ClientBytes is what clients use.
func (e *Engine) ClientBytes() int64 { return e.memory.clients.Load() }

// What MULTI, WATCH and tracking take per entry beside the bytes of the words.
const (
	queuedSize  = 64
	watchSize   = 160
	prefixSize  = 128
	perArgument = 24
)

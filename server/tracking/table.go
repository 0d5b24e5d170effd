package tracking

import "sync"

// Table remembers which clients read which keys. The zero value is ready. Names of keys are not told apart by database: a
// client's cache does not either.
type Table struct {
	mu    sync.Mutex
	index map[string]int // position in slots
	slots []slot         // dense, so that a random key is found at once
	items int
	bytes int64
}

// slot is one key and who read it. Most keys are read by one client: it has a place without an allocation.
type slot struct {
	key   string
	first int64
	more  []int64
}

// slotSize is about what a key costs besides its name: the slot, the index entry and the headers.
const slotSize = 112

// Remember notes that a client has read a key.
func (t *Table) Remember(client int64, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.index[string(key)]; ok {
		t.add(&t.slots[at], client)
		return
	}
	if t.index == nil {
		t.index = map[string]int{}
	}
	name := string(key)
	t.index[name] = len(t.slots)
	t.slots = append(t.slots, slot{key: name, first: client})
	t.items++
	t.bytes += slotSize + int64(len(name))
}

func (t *Table) add(s *slot, client int64) {
	if s.first == client {
		return
	}
	for _, c := range s.more {
		if c == client {
			return
		}
	}
	s.more = append(s.more, client)
	t.items++
	t.bytes += 8
}

// Take forgets a key and gives everybody who had read it to fn.
func (t *Table) Take(key []byte, fn func(client int64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.index[string(key)]; ok {
		t.takeAt(at, fn)
	}
}

func (t *Table) takeAt(at int, fn func(client int64)) {
	s := t.slots[at]
	delete(t.index, s.key)
	last := len(t.slots) - 1
	if at != last {
		t.slots[at] = t.slots[last]
		t.index[t.slots[at].key] = at
	}
	t.slots[last] = slot{}
	t.slots = t.slots[:last]
	t.items -= 1 + len(s.more)
	t.bytes -= slotSize + int64(len(s.key)) + 8*int64(len(s.more))
	fn(s.first)
	for _, c := range s.more {
		fn(c)
	}
}

// TakeAny is Take for a key that random chooses; false when there is none.
func (t *Table) TakeAny(random uint64, fn func(key string, client int64)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.slots) == 0 {
		return false
	}
	at := int(random % uint64(len(t.slots)))
	key := t.slots[at].key
	t.takeAt(at, func(client int64) { fn(key, client) })
	return true
}

// Clear forgets everything.
func (t *Table) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index, t.slots, t.items, t.bytes = nil, nil, 0, 0
}

// Len is the number of keys; items counts a key once for each client that has read it; bytes is about what it all takes.
func (t *Table) Len() (keys, items int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.slots), t.items, t.bytes
}

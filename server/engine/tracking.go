package engine

import (
	"slices"
	"sync/atomic"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/tracking"
)

// tracker is client-side caching: who is to be told when a key changes. All but the atomics is guarded by the engine's
// lock, exclusively; readers add to the table under the shared one.
//
// The order of a message among the replies of its client is that of any push: it comes after the reply of the command that
// runs, and before the one of the next. So a client that reads while another changes the key either gets the new value, or
// the old one and then the message.
type tracker struct {
	table    tracking.Table
	prefixes tracking.Prefixes
	clients  map[int64]*Client // those with tracking on
	find     func(id int64) *Client

	// on tells that a change may concern somebody; used says the same to those without the lock.
	on      bool
	used    atomic.Bool
	maxKeys atomic.Int64
	// crowded tells that the table holds more than maxKeys: what keys make room must be told, for which a hold needs the
	// lock to itself.
	crowded atomic.Bool
	late    int // rounds in a row after which it still did
	idle    int // cycles in a row in which nobody tracked
}

// trackingIdle is the number of cycles, some ten seconds, after which a table is dropped that concerns nobody any more. As in
// Redis it is kept at first: who switches tracking off and on again is still told.
const trackingIdle = 100

// trackingCycle keeps the table within its bounds when no command comes.
func (e *Engine) trackingCycle() {
	t := &e.tracking
	if !t.used.Load() {
		return
	}
	e.Exclusive(func() {
		if t.crowded.Load() {
			e.bg.limitTracking()
		}
		if t.idle++; len(t.clients) > 0 {
			t.idle = 0
		}
		if t.idle > trackingIdle {
			t.table.Clear()
			t.on = false
			t.used.Store(false)
		}
	})
}

// Tracking is a client's part in client-side caching, nil without.
type Tracking struct {
	Redirect      int64 // who is told instead; 0: the client itself
	Broadcast     bool
	OptIn, OptOut bool
	NoLoop        bool
	Caching       bool     // CLIENT CACHING was called for the next command
	Broken        bool     // the one who is told instead is gone
	Prefixes      []string // in order, each once
}

// bytes is what the prefixes take.
func (t *Tracking) bytes() (n int64) {
	for _, p := range t.Prefixes {
		n += prefixSize + int64(len(p))
	}
	return n
}

// OnFind tells how a client is found by its number: fn is called with the lock held exclusively, and answers nil when there
// is none.
func (e *Engine) OnFind(fn func(id int64) *Client) { e.tracking.find = fn }

// Tracking is the client's part in client-side caching. The lock must be held.
func (c *Client) Tracking() *Tracking { return c.track }

// Track begins or changes the client's tracking. The lock must be held exclusively, by a command of c.
func (e *Engine) Track(c *Client, o Tracking) {
	t := &e.tracking
	o.Broken = false
	if c.track != nil {
		e.AddClientBytes(-c.track.bytes())
		o.Caching = c.track.Caching
		o.Prefixes = append(c.track.Prefixes, o.Prefixes...)
	}
	slices.Sort(o.Prefixes)
	o.Prefixes = slices.Compact(o.Prefixes)
	for _, p := range o.Prefixes {
		t.prefixes.Add(c.Num, p)
	}
	e.AddClientBytes(o.bytes())
	c.track = &o
	if t.clients == nil {
		t.clients = map[int64]*Client{}
	}
	t.clients[c.Num] = c
	t.on = true
	t.used.Store(true)
	c.Receive()
	if o.Redirect != 0 {
		if to := t.find(o.Redirect); to != nil {
			to.Receive()
		}
	}
	c.Clear(Remembers)
	if !o.Broadcast {
		c.Set(Remembers)
	}
}

// Untrack ends the client's tracking. The lock must be held exclusively.
func (e *Engine) Untrack(c *Client) {
	if c.track == nil {
		return
	}
	for _, p := range c.track.Prefixes {
		e.tracking.prefixes.Remove(c.Num, p)
	}
	delete(e.tracking.clients, c.Num)
	e.AddClientBytes(-c.track.bytes())
	c.track = nil
	c.Clear(Remembers)
}

// SetTrackingTableMax is tracking-table-max-keys; 0 means no limit.
func (e *Engine) SetTrackingTableMax(n int64) {
	e.tracking.maxKeys.Store(n)
	e.tracking.measure()
}

func (t *tracker) measure() {
	limit := t.maxKeys.Load()
	keys, _, _ := t.table.Len()
	t.crowded.Store(limit > 0 && int64(keys) > limit)
}

// TrackingStats are what INFO shows. The lock must be held exclusively.
func (e *Engine) TrackingStats() (clients, keys, items, prefixes int) {
	t := &e.tracking
	keys, items, _ = t.table.Len()
	return len(t.clients), keys, items, t.prefixes.Len()
}

// remember notes the keys of a read. The lock is held in either mode.
func (e *Engine) remember(c *Client, cmd *command.Cmd, args [][]byte) {
	t := c.track
	if t == nil || (t.OptIn && !t.Caching) || (t.OptOut && t.Caching) || cmd.Flags&command.PubSub != 0 {
		return
	}
	var room [16]command.KeyRef
	keys, _ := cmd.KeysOf(room[:0], args)
	for _, k := range keys {
		e.tracking.table.Remember(c.Num, args[k.Pos])
	}
	if len(keys) > 0 {
		e.tracking.measure()
	}
}

// readsKeys tells whether a command is a read whose keys are to be remembered. Scripts are not: what they run is.
func readsKeys(cmd *command.Cmd) bool {
	return cmd.Flags&command.ReadOnly != 0 && cmd.Categories&command.CatScripting == 0
}

// afterCaching ends the effect of CLIENT CACHING with the command, or the transaction, behind it.
func (c *Client) afterCaching(cmd *command.Cmd) {
	if c.track != nil && c.track.Caching && !c.Has(InMulti) && (cmd == nil || cmd.Parent == nil || cmd.Parent.Name != "client") {
		c.track.Caching = false
	}
}

// trackedChange tells those who have read a key, or listen to its prefix, that it changed. by is the client whose command
// it was, nil when it was none's; script tells that a script did it.
func (e *Engine) trackedChange(key []byte, by *Client, script bool) {
	t := &e.tracking
	if t.prefixes.Len() > 0 {
		who := tracking.Nobody
		if by != nil && !script {
			who = by.Num
		}
		t.prefixes.Changed(key, who)
	}
	var forms [2][]byte
	t.table.Take(key, func(id int64) {
		c := t.clients[id]
		if c == nil || c.track.Broadcast || (c.track.NoLoop && c == by) {
			return
		}
		t.tell(c, func(f tracking.Form) []byte {
			if forms[f] == nil {
				forms[f] = tracking.Keys(f, string(key))
			}
			return forms[f]
		})
	})
}

// tell sends a message to a tracking client, or to the one that is told instead.
func (t *tracker) tell(c *Client, message func(tracking.Form) []byte) {
	to := c
	if id := c.track.Redirect; id != 0 {
		if to = t.find(id); to == nil || to.Has(CloseAfter) {
			c.track.Broken = true
			if c.Proto == 3 {
				c.Push(tracking.Broken(id))
			}
			return
		}
	}
	switch {
	case to.Proto == 3:
		to.Push(message(tracking.Push))
	case to != c && to.Has(Subscribed):
		to.Push(message(tracking.Message))
	}
}

// trackedFlush tells everybody to forget everything.
func (e *Engine) trackedFlush() {
	t := &e.tracking
	for _, c := range t.clients {
		t.tell(c, func(f tracking.Form) []byte { return tracking.Everything(f, c.Proto) })
	}
	t.table.Clear()
	t.measure()
}

// settle sends what broadcasting clients are to be told, once per hold of the lock, which must be held exclusively.
func (e *Engine) settleTracking() {
	t := &e.tracking
	if !t.prefixes.Pending() {
		return
	}
	t.prefixes.Settle(func(id int64, keys []string) {
		if c := t.clients[id]; c != nil {
			t.tell(c, func(f tracking.Form) []byte { return tracking.Keys(f, keys...) })
		}
	}, func(id int64) bool { c := t.clients[id]; return c != nil && c.track.NoLoop })
}

// trackingEffort is the number of keys that one hold forgets to come back to the limit; each hold that does not get there
// makes that of the next one greater, as in Redis.
const trackingEffort = 100

// limitTracking forgets random keys of a table that has grown too big; who had read one is told. The lock must be held
// exclusively.
func (l *Lane) limitTracking() {
	t := &l.e.tracking
	limit := t.maxKeys.Load()
	for range trackingEffort * (t.late + 1) {
		if keys, _, _ := t.table.Len(); limit == 0 || int64(keys) <= limit {
			t.late = 0
			t.crowded.Store(false)
			return
		}
		t.table.TakeAny(l.ctx.Random(), func(key string, id int64) {
			if c := t.clients[id]; c != nil && !c.track.Broadcast {
				t.tell(c, func(f tracking.Form) []byte { return tracking.Keys(f, key) })
			}
		})
	}
	t.late++
}

// RedirectOf is what CLIENT LIST and GETREDIR show: who is told instead, 0 for the client itself, -1 without tracking.
func (c *Client) RedirectOf() int64 {
	if c.track == nil {
		return -1
	}
	return c.track.Redirect
}

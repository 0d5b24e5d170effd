// Package pubsub knows who listens to which channel and which pattern, and makes the messages for them.
//
// It is a data structure: the engine's lock guards it (exclusively for changes, in either mode for Publish), and how a
// message reaches its listener is the listener's business. A message is encoded once per protocol and shared by all who
// get it.
package pubsub

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// Listener is one who can subscribe.
type Listener interface {
	// Protocol is 2 or 3.
	Protocol() int
	// Hear takes an encoded message, which must not be changed.
	Hear(message []byte)
}

// Kind tells the three ways to listen apart.
type Kind uint8

// Kinds.
const (
	Channel Kind = iota
	Pattern
	Shard
	kinds
)

// Hub holds all subscriptions. The zero value is ready.
type Hub struct {
	topics [kinds]topics
}

// topics are the channels or patterns of one kind that somebody listens to.
type topics struct {
	byName map[string]*topic
	list   []*topic
}

type topic struct {
	name      string
	pattern   []byte // the same, to match with; of patterns alone
	at        int    // in topics.list
	listeners []*entry
}

// entry is one subscription: it knows its place in both lists, so that it goes away in constant time.
type entry struct {
	who   *Subscriptions
	topic *topic
	at    int // in topic.listeners
	own   int // in who.lists
}

// Subscriptions are what one listener has subscribed to. Set Listener before the first subscription.
type Subscriptions struct {
	Listener Listener
	lists    [kinds][]*entry
	byName   [kinds]map[string]*entry
}

// Len is the number of subscriptions of a kind.
func (s *Subscriptions) Len(k Kind) int { return len(s.lists[k]) }

// Any tells whether there is any subscription.
func (s *Subscriptions) Any() bool {
	return len(s.lists[Channel])+len(s.lists[Pattern])+len(s.lists[Shard]) > 0
}

// Names lists the subscriptions of a kind in the order in which they were made, as long as none was ended.
func (s *Subscriptions) Names(k Kind) []string {
	names := make([]string, len(s.lists[k]))
	for i, e := range s.lists[k] {
		names[i] = e.topic.name
	}
	return names
}

// Subscribe makes s listen; false when it did already.
func (h *Hub) Subscribe(s *Subscriptions, k Kind, name string) bool {
	if s.byName[k][name] != nil {
		return false
	}
	ts := &h.topics[k]
	t := ts.byName[name]
	if t == nil {
		if ts.byName == nil {
			ts.byName = map[string]*topic{}
		}
		t = &topic{name: name, at: len(ts.list)}
		if k == Pattern {
			t.pattern = []byte(name)
		}
		ts.byName[name] = t
		ts.list = append(ts.list, t)
	}
	e := &entry{who: s, topic: t, at: len(t.listeners), own: len(s.lists[k])}
	t.listeners = append(t.listeners, e)
	if s.byName[k] == nil {
		s.byName[k] = map[string]*entry{}
	}
	s.byName[k][name] = e
	s.lists[k] = append(s.lists[k], e)
	return true
}

// Unsubscribe ends a subscription; false when there was none.
func (h *Hub) Unsubscribe(s *Subscriptions, k Kind, name string) bool {
	e := s.byName[k][name]
	if e == nil {
		return false
	}
	delete(s.byName[k], name)
	own := s.lists[k]
	moved := own[len(own)-1]
	own[e.own], moved.own = moved, e.own
	own[len(own)-1] = nil
	s.lists[k] = own[:len(own)-1]
	t := e.topic
	moved = t.listeners[len(t.listeners)-1]
	t.listeners[e.at], moved.at = moved, e.at
	t.listeners[len(t.listeners)-1] = nil
	t.listeners = t.listeners[:len(t.listeners)-1]
	if len(t.listeners) == 0 {
		h.topics[k].drop(t)
	}
	return true
}

// drop forgets a topic that nobody listens to.
func (ts *topics) drop(t *topic) {
	delete(ts.byName, t.name)
	last := ts.list[len(ts.list)-1]
	ts.list[t.at], last.at = last, t.at
	ts.list[len(ts.list)-1] = nil
	ts.list = ts.list[:len(ts.list)-1]
}

// Forget ends all subscriptions of s.
func (h *Hub) Forget(s *Subscriptions) {
	for k := range kinds {
		for len(s.lists[k]) > 0 {
			h.Unsubscribe(s, k, s.lists[k][len(s.lists[k])-1].topic.name)
		}
	}
}

// Publish sends a message to all who listen to the channel, those of patterns last, and returns how many there were.
func (h *Hub) Publish(channel, message []byte) int {
	n := 0
	if t := h.topics[Channel].byName[string(channel)]; t != nil {
		n = t.tell("message", nil, channel, message)
	}
	for _, t := range h.topics[Pattern].list {
		if command.Match(t.pattern, channel) {
			n += t.tell("pmessage", t.pattern, channel, message)
		}
	}
	return n
}

// PublishShard is Publish for a shard channel, which no pattern matches.
func (h *Hub) PublishShard(channel, message []byte) int {
	t := h.topics[Shard].byName[string(channel)]
	if t == nil {
		return 0
	}
	return t.tell("smessage", nil, channel, message)
}

// tell gives every listener the message in its protocol.
func (t *topic) tell(kind string, pattern, channel, message []byte) int {
	var forms [2][]byte
	for _, e := range t.listeners {
		proto := e.who.Listener.Protocol()
		f := &forms[proto-2]
		if *f == nil {
			*f = encode(proto, kind, pattern, channel, message)
		}
		e.who.Listener.Hear(*f)
	}
	return len(t.listeners)
}

func encode(proto int, kind string, pattern, channel, message []byte) []byte {
	w := resp.NewWriter(make([]byte, 0, len(kind)+len(pattern)+len(channel)+len(message)+64))
	w.SetProto(proto)
	n := 3
	if pattern != nil {
		n = 4
	}
	w.Push(n)
	w.BulkString(kind)
	if pattern != nil {
		w.Bulk(pattern)
	}
	w.Bulk(channel)
	w.Bulk(message)
	return w.Bytes()
}

// Count is the number of channels or patterns that somebody listens to.
func (h *Hub) Count(k Kind) int { return len(h.topics[k].list) }

// Listeners is the number of those who listen to one name.
func (h *Hub) Listeners(k Kind, name []byte) int {
	t := h.topics[k].byName[string(name)]
	if t == nil {
		return 0
	}
	return len(t.listeners)
}

// Each gives the names of a kind that match a pattern; nil matches all.
func (h *Hub) Each(k Kind, pattern []byte, fn func(name string)) {
	for _, t := range h.topics[k].list {
		if pattern == nil || command.Match(pattern, []byte(t.name)) {
			fn(t.name)
		}
	}
}

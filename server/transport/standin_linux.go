package transport

import (
	"github.com/understudy-db/understudy/server/engine"
	"golang.org/x/sys/unix"
)

// standIn is what a loop serves other clients with while a command of one of its own goes on for long: the batch that the
// command belongs to stays as it is until the command is over.
type standIn struct {
	lane   *engine.Lane
	events [64]unix.EpollEvent
	arena  []byte
	used   int
	args   [][]byte
	items  []engine.Item
	batch  []*conn
}

// whileBusy answers who has asked meanwhile. The goroutine is inside of the lane's Run, with the engine's lock.
func (l *loop) whileBusy() {
	s := l.standIn
	if s == nil {
		s = &standIn{lane: l.t.e.NewStandIn(), arena: make([]byte, 4*readSize)}
		l.standIn = s
	}
	l.inside = true
	defer func() { l.inside = false }()
	l.t.e.Settle() // what the commands before the long one did is in the log
	withdrawn := l.thinOut()
	l.swap(s)
	defer l.swap(s)
	for _, c := range withdrawn {
		l.resume(c)
	}
	l.heed() // what the turn that is interrupted was told of
	n := rawEpollWait(l.epfd, s.events[:], 0)
	l.told = s.events[:n]
	l.heed()
	l.readRest()
	l.process()
}

// inert is the client of an item that was taken out of a batch.
var inert = &engine.Client{Flags: engine.CloseAfter}

// thinOut takes everybody out of the batch but the client whose command goes on for long: those before it get their
// replies, those behind it are returned, to be heard by the stand-in.
func (l *loop) thinOut() (behind []*conn) {
	running := false
	for i, c := range l.batch {
		if c == nil {
			continue
		}
		items := l.items[c.first:c.last]
		switch done := len(items) == 0 || items[len(items)-1].Outcome != engine.Pending; {
		case !running && !done:
			running = true
		case c.closed || c.detach != nil: // stays until the batch is over
		case !running && l.t.e.Commit().Required() > 0: // likewise: where its effects end in the stream is not known yet
		case !running:
			l.batch[i] = nil
			l.finish(c)
		default:
			l.batch[i] = nil
			if len(items) > 0 {
				c.done, c.broken = items[0].Mark, nil
				c.parser.Reset()
			}
			for j := range items {
				items[j] = engine.Item{Client: inert}
			}
			c.inBatch = false
			l.keepRest(c)
			behind = append(behind, c)
		}
	}
	return behind
}

// swap exchanges the batch with the stand-in's.
func (l *loop) swap(s *standIn) {
	l.lane, s.lane = s.lane, l.lane
	l.arena, s.arena = s.arena, l.arena
	l.used, s.used = s.used, l.used
	l.args, s.args = s.args, l.args
	l.items, s.items = s.items, l.items
	l.batch, s.batch = s.batch, l.batch
}

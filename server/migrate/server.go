package migrate

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/snapshot"
)

// rounds is how often keys that change under way are sent before the lock is held to the end.
const rounds = 3

// pausedStep is how long the end of a MIGRATE waits before it looks again whether writes may go on.
const pausedStep = 5 * time.Millisecond

// Server serves MIGRATE.
type Server struct {
	e       *engine.Engine
	sockets sockets
	work    sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	done    chan struct{}
}

// New makes a Server and attaches its handler.
func New(e *engine.Engine) *Server {
	s := &Server{e: e, done: make(chan struct{})}
	s.sockets.idle = map[string]*socket{}
	e.Table.Attach("migrate", s.migrate)
	return s
}

// Sockets is the number of connections that are kept for the next MIGRATE.
func (s *Server) Sockets() int { return s.sockets.count() }

// Close ends what is under way and waits for it. The engine must still run.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	s.sockets.close()
	s.work.Wait()
}

// begin counts a migration, unless the server ends.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

func (s *Server) migrate(ctx *command.Ctx) {
	o, ok := parse(ctx)
	if !ok {
		return
	}
	t := &transfer{s: s, o: o}
	for _, key := range o.keys {
		if _, ok := ctx.LookupRead(key); ok {
			t.parcels = append(t.parcels, &parcel{key: key})
		}
	}
	if len(t.parcels) == 0 {
		ctx.Out.Simple("NOKEY")
		return
	}
	t.pack(ctx)
	if !s.e.CanBlock(ctx) || !s.begin() {
		err := t.send(ctx.Now)
		t.settle(ctx, true)
		t.reply(ctx.Out, err)
		return
	}
	t.cmd, t.db = ctx.Cmd, ctx.DBIndex
	t.w = s.e.Block(engine.Of(ctx), "migrate", 0, func(w *resp.Writer) {
		w.Error("-IOERR MIGRATE was ended by CLIENT UNBLOCK; keys that arrived may be on both servers")
	}, nil)
	go t.run()
}

// transfer is one MIGRATE.
type transfer struct {
	s       *Server
	o       order
	parcels []*parcel
	cmd     *command.Cmd
	db      int
	w       *engine.Waiter
}

// pack dumps the keys as they are now, and leaves out those that are gone. The lock is held.
func (t *transfer) pack(ctx *command.Ctx) {
	kept := t.parcels[:0]
	for _, p := range t.parcels {
		e, ok := ctx.DB.Peek(p.key)
		if !ok || e.Expired(ctx.Now) {
			continue
		}
		p.value, p.expire = snapshot.AppendValue(p.value[:0], e, ctx.Conf == nil || !ctx.Conf.NoCompression), e.ExpireAt()
		kept = append(kept, p)
	}
	t.parcels = kept
}

// run carries the keys over without the lock.
func (t *transfer) run() {
	defer t.s.work.Done()
	for round := 1; ; round++ {
		err := t.send(time.Now().UnixMilli())
		for over := false; ; {
			ready := t.s.e.Resume(t.w, t.cmd, t.db, func(ctx *command.Ctx, refused string) bool {
				over = t.goOn(ctx, err, refused, round)
				return over
			})
			if ready {
				if over {
					return
				}
				break
			}
			select {
			case <-time.After(pausedStep):
			case <-t.s.done: // nothing of ours may run any more: what arrived is on both servers
				return
			}
		}
		t.o.replace = true // what is sent again is ours
	}
}

// goOn ends the transfer under the lock, or readies its next round and answers false.
func (t *transfer) goOn(ctx *command.Ctx, err error, refused string, round int) (over bool) {
	switch {
	case refused != "":
		ctx.Out.Error(refused)
		return true
	case t.w.Unblocked(): // the client was told so, and may use its keys again: they stay
		return true
	}
	again := t.settle(ctx, false)
	switch {
	case !again || err != nil:
	case round < rounds:
		t.pack(ctx)
		return false
	default:
		t.pack(ctx)
		t.o.replace = true
		err = t.send(ctx.Now)
		t.settle(ctx, true)
	}
	t.reply(ctx.Out, err)
	return true
}

// settle deletes the keys that have arrived and are still what was sent; again tells that some are not. With surely
// nothing can have changed since. The lock is held.
func (t *transfer) settle(ctx *command.Ctx, surely bool) (again bool) {
	left := t.parcels[:0]
	effect := [][]byte{[]byte("DEL")}
	var room []byte
	for _, p := range t.parcels {
		if !p.arrived {
			left = append(left, p)
			continue
		}
		e, ok := ctx.DB.Peek(p.key)
		if t.o.copies || !ok {
			continue
		}
		if !surely {
			room = snapshot.AppendValue(room[:0], e, ctx.Conf == nil || !ctx.Conf.NoCompression)
			if e.ExpireAt() != p.expire || !bytes.Equal(room, p.value) {
				p.arrived, again = false, true
				left = append(left, p)
				continue
			}
		}
		ctx.DB.Delete(p.key)
		ctx.Modified(p.key)
		ctx.Notify(command.EventGeneric, "del", p.key)
		ctx.Dirty(1)
		effect = append(effect, p.key)
	}
	t.parcels = left
	if len(effect) > 1 {
		ctx.Propagate(effect...)
	}
	return again
}

func (t *transfer) reply(out *resp.Writer, err error) {
	var told *targetError
	switch {
	case err == nil:
		out.OK()
	case errors.As(err, &told):
		out.Error("Target instance replied with error: " + told.text)
	default:
		out.Error("-IOERR " + err.Error())
	}
}

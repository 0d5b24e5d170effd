package session

import (
	"fmt"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/pubsub"
	"github.com/understudy-db/understudy/server/resp"
)

func (srv *Server) clientInfo(ctx *command.Ctx) {
	ctx.Out.Verbatim("txt", string(self(ctx).appendInfo(nil, time.Now()))+"\n")
}

func (srv *Server) clientList(ctx *command.Ctx) {
	kind := ""
	var ids map[int64]bool
	args := ctx.Args[2:]
	switch {
	case len(args) == 0:
	case len(args) == 2 && fold(args[0], "type"):
		if kind = clientType(args[1]); kind == "" {
			ctx.Out.Error("Unknown client type '" + string(args[1]) + "'")
			return
		}
	case len(args) >= 2 && fold(args[0], "id"):
		ids = map[int64]bool{}
		for _, a := range args[1:] {
			id, ok := resp.ParseInt(a)
			if !ok || id < 1 {
				ctx.Out.Error("Invalid client ID")
				return
			}
			ids[id] = true
		}
	default:
		ctx.Out.Error(errSyntax)
		return
	}
	list := &clientListing{srv: srv, kind: kind, ids: ids, asker: self(ctx)}
	if list.asker != nil {
		list.query = list.asker.QueryBytes.Load()
	}
	if ctx.Env.GoOn(ctx, func() *command.Long { return list.begin(ctx.Out.Proto()) }) {
		return
	}
	list.start()
	var text []byte
	for !list.some(func(s *Session) { text = list.appendLine(text, s) }) {
	}
	ctx.Out.Verbatim("txt", string(text))
}

// clientListing is a CLIENT LIST under way: of very many clients it tells little by little, of each what it is at the moment. It begins
// when what others had sent was read: with one thread that is so by itself, and whoever looks after what another connection
// has sent relies on it.
type clientListing struct {
	srv      *Server
	asker    *Session // nil: a script
	query    int64    // the bytes of its request
	started  bool
	sessions []*Session // yet to be listed
	kind     string
	ids      map[int64]bool
	now      time.Time
}

const (
	listStep  = 32          // clients that are listed at once
	hearLimit = time.Second // for reading what was sent: an event loop that is away for longer is busy with one command
)

// start notes whom to list. The lock must be held exclusively.
func (l *clientListing) start() {
	l.started, l.sessions, l.now = true, l.srv.sorted(), time.Now()
}

// some gives some clients to emit, and answers true when those were the last. The lock must be held exclusively.
func (l *clientListing) some(emit func(s *Session)) (done bool) {
	n := min(len(l.sessions), listStep)
	for _, s := range l.sessions[:n] {
		if !s.gone && (l.kind == "" || s.kind() == l.kind) && (l.ids == nil || l.ids[s.Num]) {
			emit(s)
		}
	}
	l.sessions = l.sessions[n:]
	return len(l.sessions) == 0
}

// appendLine prints a session. The one that asks is as it was when it did.
func (l *clientListing) appendLine(dst []byte, s *Session) []byte {
	query := s.QueryBytes.Load()
	if s == l.asker {
		query = l.query
	}
	return append(s.appendInfoWith(dst, l.now, query), '\n')
}

// begin goes on outside of the hold in which the command was called.
func (l *clientListing) begin(proto int) *command.Long {
	long, n := &command.Long{Reply: resp.NewPieces(proto), End: func() {}}, 0
	if h, ok := l.asker.Owner.(engine.Hearer); ok {
		long.Between = func() { h.Hear(hearLimit) }
	}
	var line []byte
	long.Piece = func(*command.Ctx) bool {
		if !l.started {
			l.start()
		}
		done := l.some(func(s *Session) {
			line = l.appendLine(line[:0], s)
			n += len(line)
			long.Reply.Next().Raw(line)
		})
		if done {
			long.Reply.Head().BeginVerbatim("txt", n)
			long.Reply.Next().RawString("\r\n")
		}
		return done
	}
	return long
}

// appendInfo prints the session as a line of CLIENT LIST. The lock must be held exclusively.
func (s *Session) appendInfo(dst []byte, now time.Time) []byte {
	return s.appendInfoWith(dst, now, s.QueryBytes.Load())
}

func (s *Session) appendInfoWith(dst []byte, now time.Time, qbuf int64) []byte {
	events := "r"
	if s.OutputBytes.Load() > 0 {
		events = "rw"
	}
	cmd := "NULL"
	if s.LastCmd != nil {
		cmd = s.LastCmd.FullName
	}
	argv := s.ArgvBytes.Load()
	omem := s.OutputBytes.Load() + s.PushBytes.Load()
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		s.Num, s.Owner.RemoteAddr(), s.Owner.LocalAddr(), s.FD, s.Name, int64(now.Sub(s.Created)/time.Second), max(now.Unix()-s.LastUse, 0),
		s.flagLetters(), s.DB, s.subs.Len(pubsub.Channel), s.subs.Len(pubsub.Pattern), s.subs.Len(pubsub.Shard), s.MultiLen(), qbuf, max(s.HeldBytes.Load()-s.OutputBytes.Load()-qbuf-argv, 0), argv, s.MultiBytes(), min(omem, 1), omem, s.memory(),
		events, cmd, s.userName(), s.RedirectOf(), s.Proto, s.LibName, s.LibVer)
}

// sessionSize is what a connection costs without its buffers.
const sessionSize = 2048

// memory is what the session takes, all in all. The engine's lock must be held.
func (s *Session) memory() int64 {
	return sessionSize + s.HeldBytes.Load() + s.PushBytes.Load() + s.OwnBytes() + s.subBytes
}

func (s *Session) flagLetters() string {
	var f []byte
	add := func(on bool, c byte) {
		if on {
			f = append(f, c)
		}
	}
	add(s.Has(engine.IsReplica), 'S')
	add(s.master, 'M')
	add(s.Has(engine.IsMonitor), 'O')
	add(s.Has(engine.Subscribed), 'P')
	add(s.Has(engine.InMulti), 'x')
	add(s.Blocked(), 'b')
	if t := s.Tracking(); t != nil {
		add(true, 't')
		add(t.Broken, 'R')
		add(t.Broadcast, 'B')
	}
	add(s.CASBroken(), 'd')
	add(s.Has(engine.CloseAfter), 'c')
	add(s.Path != "", 'U')
	add(s.Has(engine.NoEvict), 'e')
	add(s.Has(engine.NoTouch), 'T')
	if len(f) == 0 {
		return "N"
	}
	return string(f)
}

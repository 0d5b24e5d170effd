package session

import (
	"strconv"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/pubsub"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

func (srv *Server) attachPubSub() {
	t := srv.e.Table
	for _, k := range []struct {
		kind       pubsub.Kind
		start, end string
	}{
		{pubsub.Channel, "subscribe", "unsubscribe"}, {pubsub.Pattern, "psubscribe", "punsubscribe"}, {pubsub.Shard, "ssubscribe", "sunsubscribe"},
	} {
		t.Attach(k.start, func(ctx *command.Ctx) { srv.subscribe(ctx, k.kind, k.start) })
		t.Attach(k.end, func(ctx *command.Ctx) { srv.unsubscribe(ctx, k.kind, k.end) })
	}
	t.Attach("publish", func(ctx *command.Ctx) { publish(ctx, srv.hub.Publish) })
	t.Attach("spublish", func(ctx *command.Ctx) { publish(ctx, srv.hub.PublishShard) })
	t.Attach("pubsub|channels", func(ctx *command.Ctx) { srv.pubsubChannels(ctx, pubsub.Channel) })
	t.Attach("pubsub|shardchannels", func(ctx *command.Ctx) { srv.pubsubChannels(ctx, pubsub.Shard) })
	t.Attach("pubsub|numsub", func(ctx *command.Ctx) { srv.pubsubNumSub(ctx, pubsub.Channel) })
	t.Attach("pubsub|shardnumsub", func(ctx *command.Ctx) { srv.pubsubNumSub(ctx, pubsub.Shard) })
	t.Attach("pubsub|numpat", func(ctx *command.Ctx) { ctx.Out.Int(int64(srv.hub.Count(pubsub.Pattern))) })
	t.Attach("pubsub|help", pubsubHelp)
	srv.e.OnNotify(srv.keyspaceEvent)
}

// Protocol is the protocol of the client's replies.
func (s *Session) Protocol() int { return s.Proto }

// Hear pushes a message to the client.
func (s *Session) Hear(message []byte) { s.Push(message) }

// followSubscriptions keeps the flags of a client in step with what it listens to.
func (srv *Server) followSubscriptions(s *Session) {
	if s.subs.Any() {
		s.Set(engine.Subscribed)
		s.class.Store(settings.ClassPubSub)
	} else {
		s.Clear(engine.Subscribed)
		s.class.Store(settings.ClassNormal)
	}
}

// counted is the number of subscriptions that replies tell: of shard channels alone, or of channels and patterns.
func (s *Session) counted(k pubsub.Kind) int64 {
	if k == pubsub.Shard {
		return int64(s.subs.Len(pubsub.Shard))
	}
	return int64(s.subs.Len(pubsub.Channel) + s.subs.Len(pubsub.Pattern))
}

// subSize is what a subscription takes beside its name.
const subSize = 192

func (srv *Server) accountSub(s *Session, length int, sign int64) {
	n := sign * (subSize + int64(length))
	s.subBytes += n
	srv.e.AddClientBytes(n)
}

// unsubscribeAll ends all subscriptions of s without a word.
func (srv *Server) unsubscribeAll(s *Session) {
	srv.hub.Forget(&s.subs)
	srv.e.AddClientBytes(-s.subBytes)
	s.subBytes = 0
}

// subStep is the number of subscriptions that are begun between two looks at the clock.
const subStep = 64

// subFrom is the number from which a SUBSCRIBE goes on after its handler.
const subFrom = 1024

func (srv *Server) subscribe(ctx *command.Ctx, k pubsub.Kind, word string) {
	s := self(ctx)
	s.subs.Listener = s
	s.Receive()
	s.KeepReply()
	some := func(w *resp.Writer, names [][]byte) {
		for _, name := range names {
			if srv.hub.Subscribe(&s.subs, k, string(name)) {
				srv.accountSub(s, len(name), 1)
			}
			confirm(w, word, name, s.counted(k))
		}
	}
	if len(ctx.Args) <= subFrom || !ctx.Env.GoOn(ctx, func() *command.Long { return inPieces(s, ctx.Args[1:], some) }) {
		some(ctx.Out, ctx.Args[1:])
	}
	srv.followSubscriptions(s) // here, where the client's flags may change: the first piece has been
}

// inPieces subscribes to very many channels as a client does that names few at a time. What is confirmed goes out at once, among
// the messages, since none of a channel may come before the confirmation.
func inPieces(s *Session, names [][]byte, some func(w *resp.Writer, names [][]byte)) *command.Long {
	return &command.Long{Reply: resp.NewPieces(s.Proto), End: func() {}, Piece: func(*command.Ctx) bool {
		w, n := resp.NewWriter(nil), min(subStep, len(names))
		w.SetProto(s.Proto)
		some(w, names[:n])
		names = names[n:]
		s.Push(w.Bytes())
		return len(names) == 0
	}}
}

func (srv *Server) unsubscribe(ctx *command.Ctx, k pubsub.Kind, word string) {
	s := self(ctx)
	s.KeepReply()
	names := ctx.Args[1:]
	if len(names) == 0 {
		for _, name := range s.subs.Names(k) {
			names = append(names, []byte(name))
		}
	}
	for _, name := range names {
		if srv.hub.Unsubscribe(&s.subs, k, string(name)) {
			srv.accountSub(s, len(name), -1)
		}
		confirm(ctx.Out, word, name, s.counted(k))
	}
	if len(names) == 0 {
		ctx.Out.Push(3)
		ctx.Out.BulkString(word)
		ctx.Out.Null()
		ctx.Out.Int(s.counted(k))
	}
	srv.followSubscriptions(s)
}

func confirm(w *resp.Writer, word string, name []byte, n int64) {
	w.Push(3)
	w.BulkString(word)
	w.Bulk(name)
	w.Int(n)
}

func publish(ctx *command.Ctx, to func(channel, message []byte) int) {
	n := to(ctx.Args[1], ctx.Args[2])
	ctx.ForcePropagate(command.SkipFile)
	ctx.Out.Int(int64(n))
}

func (srv *Server) pubsubChannels(ctx *command.Ctx, k pubsub.Kind) {
	if len(ctx.Args) > 3 {
		ctx.Out.Error("unknown subcommand or wrong number of arguments for '" + string(ctx.Args[1]) + "'. Try PUBSUB HELP.")
		return
	}
	var pattern []byte
	if len(ctx.Args) == 3 {
		pattern = ctx.Args[2]
	}
	mark, n := ctx.Out.DeferArray(), 0
	srv.hub.Each(k, pattern, func(name string) {
		ctx.Out.BulkString(name)
		n++
	})
	ctx.Out.SetArrayLen(mark, n)
}

func (srv *Server) pubsubNumSub(ctx *command.Ctx, k pubsub.Kind) {
	ctx.Out.Array(2 * (len(ctx.Args) - 2))
	for _, name := range ctx.Args[2:] {
		ctx.Out.Bulk(name)
		ctx.Out.Int(int64(srv.hub.Listeners(k, name)))
	}
}

func pubsubHelp(ctx *command.Ctx) {
	help(ctx, "PUBSUB",
		"CHANNELS [<pattern>]", "    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT", "    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]", "    Return the number of subscribers for the specified channels, excluding", "    pattern subscriptions(default: no channels).",
		"SHARDCHANNELS [<pattern>]", "    Return the currently active shard level channels matching a <pattern> (default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]", "    Return the number of subscribers for the specified shard level channel(s)")
}

// keyspaceEvent publishes an event on the channel of its key and on that of its name, as notify-keyspace-events asks for.
func (srv *Server) keyspaceEvent(db int, _ command.EventClass, event string, key []byte) {
	wanted := srv.e.Conf.NotifyEvents
	if wanted&command.EventKeyspace != 0 {
		channel := append(strconv.AppendInt([]byte("__keyspace@"), int64(db), 10), "__:"...)
		srv.hub.Publish(append(channel, key...), []byte(event))
	}
	if wanted&command.EventKeyevent != 0 {
		channel := append(strconv.AppendInt([]byte("__keyevent@"), int64(db), 10), "__:"...)
		srv.hub.Publish(append(channel, event...), key)
	}
}

package engine

import (
	"net"
	"sync/atomic"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// ClientFlags are the properties of a client that dispatch looks at.
type ClientFlags uint32

// Flags of a client. Only its owner's goroutine changes them, with the lock held in either mode, or before the client's
// first command.
const (
	NeedAuth      ClientFlags = 1 << iota // must authenticate first
	InMulti                               // between MULTI and EXEC
	DirtyExec                             // a queued command was refused: EXEC aborts
	Subscribed                            // RESP2 publish/subscribe mode
	IsReplica                             // became a replica connection
	CloseAfter                            // close once the replies have left
	ReplyOff                              // CLIENT REPLY OFF
	replySkip                             // CLIENT REPLY SKIP: the next reply only
	skipNext                              // CLIENT REPLY SKIP was just executed
	NoTouch                               // CLIENT NO-TOUCH
	NoEvict                               // CLIENT NO-EVICT
	IsMonitor                             // MONITOR
	Internal                              // has no connection: may do what pause and authentication forbid
	WantsMaster                           // came in on the primary port: a writable master executes its commands, or nobody here does
	Remembers                             // client-side caching: the keys that it reads are remembered
	DebugsScripts                         // SCRIPT DEBUG SYNC
	limited                               // has limits; stands in guards only
)

// special are the flags that take a command off the fast path.
const special = NeedAuth | limited | InMulti | Subscribed | IsReplica | IsMonitor | ReplyOff | replySkip | skipNext | Remembers

// Owner is what drives a client: a connection, or a test. Its methods may be called with the lock held and must not
// wait; they act on the owner's goroutine later.
type Owner interface {
	// Post runs fn on the owner's goroutine, without the lock, in the order of the calls.
	Post(fn func())
	// Deliver writes a reply of a client that was blocked and lets it go on with its next command. The reply is subject
	// to the gate under ticket. write is called even when the connection is gone, so that it can let go of what it holds.
	Deliver(ticket Ticket, write func(w *resp.Writer))
	// Push writes bytes that are no reply (a message, an invalidation) before the reply of the first command whose
	// Item.Before is at least after. p is shared and must not be changed.
	Push(after uint64, p []byte)
	// Kill closes the connection without a further reply.
	Kill(why string)
	// Detach takes the socket from the loop once the replies so far have left, and gives it to fn in a goroutine of
	// its own together with the bytes that were read but not executed.
	Detach(fn func(conn net.Conn, unread []byte))
	// RemoteAddr and LocalAddr are as CLIENT LIST shows them.
	RemoteAddr() string
	LocalAddr() string
}

// Client is a caller's state as far as dispatch needs it. A session embeds it.
type Client struct {
	Num   int64 // CLIENT ID
	DB    int
	Flags ClientFlags
	Proto int // 2 or 3
	Owner Owner
	// Session is the embedding session, for handlers that belong to it.
	Session any
	// Link is what a replica's handshake (REPLCONF) collects; the link package owns it.
	Link any

	// WriteOffset is the replication offset after this client's last write: what WAIT waits for.
	WriteOffset int64
	// WritePos is the same place as a position in the log, which counts when nobody counts offsets: what WAITAOF waits for.
	WritePos int64
	wrote    bool // since WriteOffset was set
	LastCmd  *command.Cmd
	LastUse  int64 // unix seconds of the latest command

	limits Limits      // nil: everything is allowed
	guards ClientFlags // NeedAuth and limited, where others decide; see limits.go

	// receives is set when the client is to get messages besides replies, and never cleared. ran is twice the number of
	// commands executed since, plus one while one is executing, and begins at two, so that what was executed before in the
	// same batch goes before. It orders pushes among the replies. Its owner's lane counts; others read it with the lock held
	// in either mode.
	receives atomic.Bool
	ran      atomic.Uint64

	multi       transaction
	inExec      bool // EXEC runs its queue: nothing may block
	casBroken   bool // a watched key changed: EXEC answers null. Set by any lane, under the exclusive lock
	watches     []*watch
	watchBytes  int
	waiter      atomic.Pointer[Waiter] // set by its owner's lane and cleared under the exclusive lock; its owner may look without it
	judged      *command.Cmd           // the command whose flags are judgedFlags
	judgedFlags command.Flags
	track       *Tracking // guarded by the lock; only the client's own commands, and its end, change it
	caller      *Client   // of a script's client: who runs the script
	keepReply   bool      // the running command's reply is not subject to CLIENT REPLY
}

var _ command.Client = (*Client)(nil)

// ID is the number that CLIENT ID shows.
func (c *Client) ID() int64 { return c.Num }

// Has reports whether any of the flags is set.
func (c *Client) Has(f ClientFlags) bool { return c.Flags&f != 0 }

// Set sets flags.
func (c *Client) Set(f ClientFlags) { c.Flags |= f }

// Clear clears flags.
func (c *Client) Clear(f ClientFlags) { c.Flags &^= f }

// Blocked reports whether the client waits for something (WAIT, BLPOP). The lock must be held.
func (c *Client) Blocked() bool { w := c.waiter.Load(); return w != nil && !w.long }

// MultiLen is the number of queued commands, -1 outside MULTI.
func (c *Client) MultiLen() int {
	if !c.Has(InMulti) {
		return -1
	}
	return len(c.multi.queue)
}

// Receives reports whether the client was ever to get messages besides replies.
func (c *Client) Receives() bool { return c.receives.Load() }

// WatchLen is the number of watched keys.
func (c *Client) WatchLen() int { return len(c.watches) }

// OwnBytes is the memory of the client's transaction, watched keys and prefixes. The lock must be held.
func (c *Client) OwnBytes() int64 {
	n := int64(c.multi.bytes + c.watchBytes)
	if c.track != nil {
		n += c.track.bytes()
	}
	return n
}

// SkipNextReply is CLIENT REPLY SKIP.
func (c *Client) SkipNextReply() {
	if !c.Has(ReplyOff) {
		c.Set(skipNext)
	}
}

// ReplyOn is CLIENT REPLY ON: it is answered itself, even right after a SKIP.
func (c *Client) ReplyOn() { c.Clear(ReplyOff | replySkip | skipNext) }

// KeepReply lets the reply of the running command leave even with CLIENT REPLY OFF or SKIP: it consists of pushes.
func (c *Client) KeepReply() { c.keepReply = c.Has(ReplyOff | replySkip) }

// Of returns the engine's client behind a handler's context, nil when a stream or a file is applied.
func Of(c *command.Ctx) *Client {
	cl, _ := c.Client.(*Client)
	return cl
}

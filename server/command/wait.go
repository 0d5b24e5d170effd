package command

import (
	"math"
	"math/big"

	"github.com/understudy-db/understudy/server/resp"
)

// Wait is what a blocking command waits for when its keys have nothing for it.
type Wait struct {
	Keys    [][]byte
	Kind    string // names the reason: "list", "zset", "stream"
	Timeout int64  // milliseconds; 0: for ever
	// Expired writes the reply when the time is up.
	Expired func(out *resp.Writer)
	// Serve is called when a command has changed one of the keys, for the clients that wait for it in the order of their
	// arrival. It runs like a handler, on a context that has the command's (copied) arguments: when the key has something
	// for the client it takes it, says so with Dirty, Propagate and Notify, writes the reply, and answers true, which
	// ends the wait. Otherwise it answers false and leaves everything as it is. It must Propagate what it takes:
	// its own command, which may block, is not its effect.
	Serve func(c *Ctx, key []byte) bool
	// Bereft asks to be served as well when a key was deleted or is no longer there under its name.
	Bereft bool
}

const errNegativeTimeout = "timeout is negative"

// Block lets the client wait. It answers false where nothing may wait, in a transaction, a script, a stream: the command
// then replies as if its time were up. On true the command writes no reply.
func (c *Ctx) Block(w Wait) bool { return c.Env != nil && c.Env.Block(c, w) }

// secondsArg reads a timeout in seconds with fractions as milliseconds, rounded up, or replies with an error.
func (c *Ctx) secondsArg(i int) (ms int64, ok bool) {
	f, ok := parseLongDouble(c.Args[i])
	if !ok {
		c.Out.Error("timeout is not a float or out of range")
		return 0, false
	}
	if f.IsInf() {
		c.Out.Error(errNegativeTimeout)
		return 0, false
	}
	ms, accuracy := new(big.Float).SetPrec(longDoubleBits).Mul(f, big.NewFloat(1000)).Int64()
	if accuracy == big.Below {
		if ms == math.MaxInt64 { // as x86 converts it for Redis 7.0
			c.Out.Error(errNegativeTimeout)
			return 0, false
		}
		ms++ // rounded up
	}
	return ms, c.timeoutOK(ms)
}

// millisecondsArg reads a timeout in milliseconds, or replies with an error.
func (c *Ctx) millisecondsArg(i int) (ms int64, ok bool) {
	ms, ok = ParseInt(c.Args[i])
	if !ok {
		c.Out.Error("timeout is not an integer or out of range")
		return 0, false
	}
	return ms, c.timeoutOK(ms)
}

func (c *Ctx) timeoutOK(ms int64) bool {
	switch {
	case ms < 0:
		c.Out.Error(errNegativeTimeout)
	case ms > math.MaxInt64-c.Now:
		c.Out.Error("timeout is out of range")
	default:
		return true
	}
	return false
}

// wake has the clients that wait for a key look at it again though its value counts as unchanged.
func (c *Ctx) wake(key []byte) {
	if c.Env != nil {
		c.Env.Wake(c.DBIndex, key)
	}
}

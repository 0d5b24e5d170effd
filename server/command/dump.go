package command

import (
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/store"
)

const (
	errBusyKey    = "-BUSYKEY Target key name already exists."
	errPayload    = "DUMP payload version or checksum are wrong"
	errBadData    = "Bad data format"
	errRestoreTTL = "Invalid TTL value, must be >= 0"
)

var (
	wordAbsTTL  = []byte("ABSTTL")
	restoreRoom = []byte("\x00restore")
)

// maxRoom is the size up to which a buffer is kept for the next command.
const maxRoom = 64 << 10

func cmdDump(c *Ctx) {
	e, ok := c.LookupRead(c.Args[1])
	if !ok {
		c.Out.Null()
		return
	}
	compress := c.Conf == nil || !c.Conf.NoCompression
	if c.longDump(e, compress) {
		return
	}
	p := snapshot.AppendValue(c.scratch[:0], e, compress)
	c.Out.Bulk(p)
	if cap(p) <= maxRoom {
		c.scratch = p[:0]
	}
}

// restoring is what RESTORE's arguments ask for; idle and freq are -1 when they are silent.
type restoring struct {
	replace, absTTL bool
	at              int64
	idle, freq      int64
}

func (c *Ctx) parseRestore() (r restoring, ok bool) {
	r.idle, r.freq = -1, -1
	for i := 4; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case c.is(i, "replace"):
			r.replace = true
		case c.is(i, "absttl"):
			r.absTTL = true
		case c.is(i, "idletime") && more && r.freq == -1:
			i++
			if r.idle, ok = c.intArg(i); !ok {
				return r, false
			}
			if r.idle < 0 {
				c.Out.Error("Invalid IDLETIME value, must be >= 0")
				return r, false
			}
		case c.is(i, "freq") && more && r.idle == -1:
			i++
			if r.freq, ok = c.intArg(i); !ok {
				return r, false
			}
			if r.freq < 0 || r.freq > 255 {
				c.Out.Error("Invalid FREQ value, must be >= 0 and <= 255")
				return r, false
			}
		default:
			c.Out.Error(errSyntax)
			return r, false
		}
	}
	return r, true
}

func cmdRestore(c *Ctx) {
	r, ok := c.parseRestore()
	if !ok {
		return
	}
	key := c.Args[1]
	_, taken := c.LookupWrite(key)
	if taken && !r.replace {
		c.Out.Error(errBusyKey)
		return
	}
	if r.at, ok = c.intArg(2); !ok {
		return
	}
	if r.at < 0 {
		c.Out.Error(errRestoreTTL)
		return
	}
	if c.longRestore() {
		return
	}
	room, ok := c.readRestored(key, c.Args[3])
	if !ok {
		return
	}
	if r.at != 0 && !r.absTTL {
		r.at = int64(uint64(r.at) + uint64(c.Now)) // wraps as in Redis
	}
	c.restored(&r, key, room, taken)
}

// readRestored makes a value of what DUMP wrote, under a key that it returns, unless it is made already: then there is no
// such key. ok is false after an error reply.
func (c *Ctx) readRestored(key, payload []byte) (room []byte, ok bool) {
	if c.made != nil && (c.made.loose != nil || c.made.text != nil) {
		return nil, true
	}
	value, err := rdb.CheckFooter(payload, c.Conf != nil && c.Conf.AnyChecksum)
	if err != nil {
		c.Out.Error(errPayload)
		return nil, false
	}
	room = c.freeKey()
	if err := snapshot.ReadValue(c.Store, c.DB, room, value); err != nil {
		if c.Conf != nil && c.Conf.BadPayload != nil {
			c.Conf.BadPayload(key, err)
		}
		c.Out.Error(errBadData)
		return nil, false
	}
	return room, true
}

// freeKey is a key that is not there: a value is read under it first, so that a damaged one leaves the old value alone.
func (c *Ctx) freeKey() []byte {
	room := restoreRoom
	for {
		if _, ok := c.DB.Peek(room); !ok {
			return room
		}
		room = append(append([]byte(nil), room...), '.')
	}
}

// restored puts the value that was read at room, or made before, under its key.
func (c *Ctx) restored(r *restoring, key, room []byte, taken bool) {
	if r.at != 0 && c.past(r.at) {
		if room != nil {
			c.DB.Delete(room)
		}
		c.Out.OK()
		if taken {
			c.DB.Delete(key)
			c.Propagate(verbDel, key)
			c.touched(EventGeneric, "del", key)
		}
		return
	}
	switch {
	case c.attach(key):
	case room == nil:
		c.DB.Delete(key)
		c.attachText(key, false)
	default:
		c.DB.Delete(key)
		c.DB.Rename(room, key)
	}
	c.Notify(EventNew, "new", key)
	if r.at != 0 {
		c.DB.SetExpire(key, max(r.at, 1))
		if !r.absTTL {
			args := append([][]byte{c.Cmd.canonicalBytes, key, c.decimal(r.at)}, c.Args[3:]...)
			c.Propagate(append(args, wordAbsTTL)...)
		}
	}
	if e, ok := c.DB.Peek(key); ok {
		c.setAccess(e, r.idle, r.freq)
	}
	c.touched(EventGeneric, "restore", key)
	c.Out.OK()
}

// setAccess gives an entry the clock that was told, when it is of the kind that the policy looks at.
func (c *Ctx) setAccess(e store.Entry, idle, freq int64) {
	switch {
	case c.Store.Config.LFU && freq >= 0:
		e.SetFrequency(uint8(freq), c.Now)
	case !c.Store.Config.LFU && idle >= 0:
		e.SetIdle(idle, c.Now)
	}
}

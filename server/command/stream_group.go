package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/store"
)

var (
	verbXClaim     = []byte("XCLAIM")
	verbXGroup     = []byte("XGROUP")
	wordCreateCons = []byte("CREATECONSUMER")
	wordSetID      = []byte("SETID")
	wordEntries    = []byte("ENTRIESREAD")
	wordTime       = []byte("TIME")
	wordRetryCount = []byte("RETRYCOUNT")
	wordForce      = []byte("FORCE")
	wordJustID     = []byte("JUSTID")
	wordLastID     = []byte("LASTID")
	zeroText       = []byte("0")
)

// subcommandError is the reply to a subcommand with arguments that do not fit it.
func (c *Ctx) subcommandError() {
	c.Out.Error(fmt.Sprintf("unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		clean(c.Args[1], 128), strings.ToUpper(cText(c.Args[0]))))
}

// groupCall is what the subcommands of XGROUP have in common.
type groupCall struct {
	s        store.Stream
	found    bool
	key      []byte
	group    store.StreamGroup
	hasGroup bool
	make     bool // MKSTREAM
	read     int64
}

// groupCall reads the options and finds stream and group; ok is false after an error reply.
func (c *Ctx) groupCall(create, setID bool) (g groupCall, ok bool) {
	g.read, g.key = -1, c.Args[2]
	for i := 5; i < len(c.Args); i++ {
		switch {
		case create && c.is(i, "mkstream"):
			g.make = true
		case (create || setID) && c.is(i, "entriesread") && i+1 < len(c.Args):
			i++
			if g.read, ok = c.intArg(i); !ok {
				return g, false
			}
			if g.read < -1 {
				c.Out.Error("value for ENTRIESREAD must be positive or -1")
				return g, false
			}
		default:
			c.subcommandError()
			return g, false
		}
	}
	if g.s, g.found, ok = c.streamToWrite(g.key); !ok {
		return g, false
	}
	if !g.found && !g.make {
		c.Out.Error("The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
		return g, false
	}
	if g.found {
		g.group, g.hasGroup = g.s.Group(c.Args[3])
	}
	return g, true
}

// existing is groupCall for a group that must be there.
func (c *Ctx) existing(setID bool) (g groupCall, ok bool) {
	if g, ok = c.groupCall(false, setID); ok && !g.hasGroup {
		c.noGroupFor(c.Args[3], g.key)
		return g, false
	}
	return g, ok
}

// noGroupFor and noGroup are the two ways in which Redis says that a group is missing.
func (c *Ctx) noGroupFor(group, key []byte) {
	c.Out.Error(fmt.Sprintf("-NOGROUP No such consumer group '%s' for key name '%s'", cText(group), cText(key)))
}

func (c *Ctx) noGroup(key, group []byte) {
	c.Out.Error(fmt.Sprintf("-NOGROUP No such key '%s' or consumer group '%s'", cText(key), cText(group)))
}

func cmdXgroupCreate(c *Ctx) {
	g, ok := c.groupCall(true, false)
	if !ok {
		return
	}
	if len(c.Args) > 8 {
		c.subcommandError()
		return
	}
	id := store.StreamID{}
	if string(c.Args[4]) != "$" {
		if id, ok = c.streamIDArg(4); !ok {
			return
		}
	} else if g.found {
		id = g.s.LastID()
	}
	if !g.found {
		g.s = c.newStream(g.key)
		c.Modified(g.key)
	}
	if !g.s.CreateGroup(c.Args[3], id, g.read) {
		c.Out.Error("-BUSYGROUP Consumer Group name already exists")
		return
	}
	c.Out.OK()
	c.Dirty(1)
	c.Notify(EventStream, "xgroup-create", g.key)
}

func cmdXgroupSetid(c *Ctx) {
	g, ok := c.existing(true)
	if !ok {
		return
	}
	if len(c.Args) != 5 && len(c.Args) != 7 {
		c.subcommandError()
		return
	}
	id := g.s.LastID()
	if string(c.Args[4]) != "$" {
		parsed, ok := parseStreamID(c.Args[4], idForm{edges: true})
		if !ok {
			c.Out.Error(errStreamID)
			return
		}
		id = parsed.StreamID
	}
	g.group.Set(id, g.read)
	c.Out.OK()
	c.Dirty(1)
	c.Notify(EventStream, "xgroup-setid", g.key)
}

func cmdXgroupDestroy(c *Ctx) {
	g, ok := c.groupCall(false, false)
	if !ok {
		return
	}
	if !g.hasGroup {
		c.Out.Int(0)
		return
	}
	g.s.DestroyGroup(c.Args[3])
	c.Out.Int(1)
	c.Dirty(1)
	c.Notify(EventStream, "xgroup-destroy", g.key)
	c.wake(g.key)
}

func cmdXgroupCreateconsumer(c *Ctx) {
	g, ok := c.existing(false)
	if !ok {
		return
	}
	if _, there := g.group.Consumer(c.Args[4]); there {
		c.Out.Int(0)
		return
	}
	c.newConsumer(&g.group, g.key, c.Args[4])
	c.Out.Int(1)
}

func cmdXgroupDelconsumer(c *Ctx) {
	g, ok := c.existing(false)
	if !ok {
		return
	}
	no, there := g.group.Consumer(c.Args[4])
	if !there {
		c.Out.Int(0)
		return
	}
	pending := 0
	g.group.EachConsumer(func(n uint32, _ string, _ int64, p int) {
		if n == no {
			pending = p
		}
	})
	g.group.DeleteConsumer(no)
	c.Dirty(1)
	c.Notify(EventStream, "xgroup-delconsumer", g.key)
	c.Out.Int(int64(pending))
}

func cmdXgroupHelp(c *Ctx) {
	c.Help("XGROUP",
		"CREATE <key> <groupname> <id|$> [option]",
		"    Create a new consumer group. Options are:",
		"    * MKSTREAM",
		"      Create the empty stream if it does not exist.",
		"    * ENTRIESREAD entries_read",
		"      Set the group's entries_read counter (internal use).",
		"CREATECONSUMER <key> <groupname> <consumer>",
		"    Create a new consumer in the specified group.",
		"DELCONSUMER <key> <groupname> <consumer>",
		"    Remove the specified consumer.",
		"DESTROY <key> <groupname>",
		"    Remove the specified group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
		"    Set the current group ID and entries_read counter.")
}

// newConsumer makes a consumer.
func (c *Ctx) newConsumer(g *store.StreamGroup, key, name []byte) (no uint32) {
	no = g.AddConsumer(name, c.Now)
	c.Dirty(1)
	c.Notify(EventStream, "xgroup-createconsumer", key)
	return no
}

// consumer finds a consumer, who is seen now, or makes it.
func (c *Ctx) consumer(g *store.StreamGroup, key, name []byte) (no uint32, created bool) {
	no, ok := g.Consumer(name)
	if !ok {
		return c.newConsumer(g, key, name), true
	}
	g.Saw(no, c.Now)
	return no, false
}

// saw notes that a consumer asked for something, if there is such a one.
func (c *Ctx) saw(g *store.StreamGroup, name []byte) {
	if no, ok := g.Consumer(name); ok {
		g.Saw(no, c.Now)
	}
}

func cmdXack(c *Ctx) {
	s, found, ok := c.streamCounted(c.Args[1])
	if !ok {
		return
	}
	var g store.StreamGroup
	if found {
		g, found = s.Group(c.Args[2])
	}
	if !found {
		c.Out.Int(0)
		return
	}
	ids, ok := c.streamIDArgs(3, len(c.Args))
	if !ok {
		return
	}
	n := g.AckAll(store.SortIDs(ids))
	c.Dirty(n)
	c.Out.Int(int64(n))
}

// propagateClaim tells replicas how an entry is pending now, in a form that leaves them nothing to decide.
func (c *Ctx) propagateClaim(g *store.StreamGroup, key, group, id []byte, p store.Pending) {
	if c.Unheard {
		c.NoPropagate()
		return
	}
	var at, count [20]byte // what is propagated is copied
	var last [41]byte
	c.scratch = append(c.scratch[:0], g.ConsumerName(p.Consumer)...)
	c.Propagate(verbXClaim, key, group, c.scratch, zeroText, id,
		wordTime, strconv.AppendInt(at[:0], p.Time, 10), wordRetryCount, strconv.AppendInt(count[:0], int64(p.Count), 10),
		wordForce, wordJustID, wordLastID, appendStreamID(last[:0], g.LastID()))
}

// propagateGroupID tells replicas how far a group has read.
func (c *Ctx) propagateGroupID(g *store.StreamGroup, key, group []byte) {
	c.Propagate(verbXGroup, wordSetID, key, group, idText(g.LastID()), wordEntries, strconv.AppendInt(nil, g.Read(), 10))
}

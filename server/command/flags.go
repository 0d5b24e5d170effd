package command

import "math/bits"

// Flags are the properties of a command that the dispatcher checks.
type Flags uint32

// The order of the flags is the order in which COMMAND INFO lists them.
const (
	Write            Flags = 1 << iota // may change the data set
	ReadOnly                           // reads keys, never changes them
	DenyOOM                            // refused when maxmemory is exceeded
	Admin                              // an administrative command
	PubSub                             // part of publish/subscribe
	NoScript                           // refused inside a script
	Blocking                           // may block its client
	Loading                            // allowed while the data set loads
	Stale                              // allowed on a replica that serves no stale data
	SkipMonitor                        // not shown to MONITOR
	SkipSlowlog                        // not entered into the slow log
	Asking                             // implies ASKING in a cluster
	Fast                               // O(1) or O(log n)
	NoAuth                             // allowed before authentication
	MayReplicate                       // not a write, yet may append to the stream
	NoMandatoryKeys                    // may be called without any key
	Protected                          // refused unless enabled by configuration (DEBUG)
	NoAsyncLoading                     // refused while a replica loads beside its old data
	NoMulti                            // refused inside MULTI
	MovableKeys                        // keys cannot be found by first/last/step
	AllowBusy                          // allowed while a script is busy
	TouchesArbitrary                   // changes keys that are not among its arguments
	ServerOnly                         // internal: hidden from COMMAND
)

var flagNames = [...]string{"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
	"skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "" /* may_replicate */, "no_mandatory_keys", "", "no_async_loading",
	"no_multi", "movablekeys", "allow_busy", "", ""}

// Names lists the flags as COMMAND INFO shows them; internal ones are left out.
func (f Flags) Names() []string {
	var names []string
	for rest := uint32(f); rest != 0; rest &= rest - 1 {
		if name := flagNames[bits.TrailingZeros32(rest)]; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Category is a set of ACL categories.
type Category uint32

// The ACL categories in the order of ACL CAT.
const (
	CatKeyspace Category = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting

	AllCategories = CatScripting<<1 - 1
)

var categoryNames = [...]string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog",
	"geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"}

// Names lists the categories without their '@'.
func (c Category) Names() []string {
	var names []string
	for rest := uint32(c); rest != 0; rest &= rest - 1 {
		names = append(names, categoryNames[bits.TrailingZeros32(rest)])
	}
	return names
}

// CategoryByName finds a category by its name without '@'.
func CategoryByName(name string) (Category, bool) {
	for i, n := range categoryNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// implied adds the categories that follow from a command's flags.
func (f Flags) implied(c Category) Category {
	if f&Write != 0 {
		c |= CatWrite
	}
	if f&ReadOnly != 0 && c&CatScripting == 0 {
		c |= CatRead
	}
	if f&Admin != 0 {
		c |= CatAdmin | CatDangerous
	}
	if f&PubSub != 0 {
		c |= CatPubSub
	}
	if f&Fast != 0 {
		c |= CatFast
	}
	if f&Blocking != 0 {
		c |= CatBlocking
	}
	if c&CatFast == 0 {
		c |= CatSlow
	}
	return c
}

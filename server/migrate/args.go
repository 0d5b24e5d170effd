package migrate

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

const (
	errSyntax  = "syntax error"
	errInteger = "value is not an integer or out of range"
	errKeyArg  = "When using MIGRATE KEYS option, the key argument must be set to the empty string"
)

// order is what a MIGRATE asks for.
type order struct {
	host, port    string
	db            int64
	timeout       time.Duration
	copies        bool // COPY: the keys stay here
	replace       bool
	user, secret  []byte
	authenticates bool
	keys          [][]byte
}

// parse reads the arguments, or replies with an error. The result shares memory with nothing.
func parse(c *command.Ctx) (o order, ok bool) {
	args := c.Args
	o.host, o.port = string(args[1]), string(args[2])
	names := args[3:4]
	for i := 6; i < len(args); i++ {
		more := len(args) - 1 - i
		switch {
		case command.IsWord(args[i], "copy"):
			o.copies = true
		case command.IsWord(args[i], "replace"):
			o.replace = true
		case command.IsWord(args[i], "auth") && more >= 1:
			o.authenticates, o.user, o.secret = true, nil, clone(args[i+1])
			i++
		case command.IsWord(args[i], "auth2") && more >= 2:
			o.authenticates, o.user, o.secret = true, clone(args[i+1]), clone(args[i+2])
			i += 2
		case command.IsWord(args[i], "keys"):
			if len(args[3]) != 0 {
				c.Out.Error(errKeyArg)
				return o, false
			}
			names = args[i+1:]
			i = len(args)
		default:
			c.Out.Error(errSyntax)
			return o, false
		}
	}
	ms, ok1 := resp.ParseInt(args[5])
	db, ok2 := resp.ParseInt(args[4])
	if !ok1 || !ok2 {
		c.Out.Error(errInteger)
		return o, false
	}
	if ms <= 0 {
		ms = 1000
	}
	o.db, o.timeout = db, time.Duration(min(ms, 1<<40))*time.Millisecond
	for _, k := range names {
		o.keys = append(o.keys, clone(k))
	}
	return o, true
}

func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// parcel is a key under way.
type parcel struct {
	key, value []byte // value as DUMP answers it
	expire     int64  // unix ms, 0: none
	arrived    bool
}

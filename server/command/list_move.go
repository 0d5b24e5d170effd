package command

import (
	"strconv"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// The commands that take from one list for another or for whoever waits, and their blocking forms. A blocking form is
// executed by the same code when its key has something at once and when it has later: its effect is that of the form
// that does not block.

// sideArg reads LEFT or RIGHT, or replies with an error.
func (c *Ctx) sideArg(i int) (head, ok bool) {
	switch {
	case c.is(i, "left"):
		return true, true
	case c.is(i, "right"):
		return false, true
	}
	c.Out.Error(errSyntax)
	return false, false
}

func cmdLmove(c *Ctx) {
	from, ok := c.sideArg(3)
	if !ok {
		return
	}
	if to, ok := c.sideArg(4); ok {
		c.moveOr(from, to, func() { c.Out.Null() })
	}
}

func cmdRpoplpush(c *Ctx) {
	c.moveOr(false, true, func() { c.Out.Null() })
}

func cmdBlmove(c *Ctx) {
	from, ok := c.sideArg(3)
	if !ok {
		return
	}
	to, ok := c.sideArg(4)
	if !ok {
		return
	}
	if ms, ok := c.secondsArg(5); ok {
		c.blockingMove(from, to, ms)
	}
}

func cmdBrpoplpush(c *Ctx) {
	if ms, ok := c.secondsArg(3); ok {
		c.blockingMove(false, true, ms)
	}
}

func (c *Ctx) blockingMove(from, to bool, ms int64) {
	c.moveOr(from, to, func() {
		w := Wait{
			Keys: c.Args[1:2], Kind: "list", Timeout: ms, Expired: (*resp.Writer).NullArray,
			Serve: func(c *Ctx, key []byte) bool {
				if e, found := c.LookupWrite(key); !found || e.Kind() != store.ListKind {
					return false
				}
				c.moveOr(from, to, nil)
				return true
			},
		}
		if !c.Block(w) {
			c.Out.Null()
		}
	})
}

// moveOr moves an element from the list at argument 1 to the one at argument 2 and replies with it, or calls missing
// when there is no list at argument 1; missing is nil for a client that waited, whose list is there.
func (c *Ctx) moveOr(from, to bool, missing func()) {
	source, target := c.Args[1], c.Args[2]
	e, found := c.LookupWrite(source)
	if !found {
		missing()
		return
	}
	if !c.isList(e) {
		return
	}
	te, there := c.LookupWrite(target)
	if there && !c.isList(te) {
		return
	}
	l, _ := c.DB.ListForWrite(source)
	pos := 0
	if !from {
		pos = l.Len() - 1
	}
	x := l.At(pos)
	c.element(x)
	c.scratch = x.Append(c.scratch[:0])
	l.Remove(pos, 1)
	if string(source) == string(target) {
		l.Push(to, c.scratch)
	} else {
		dst, _ := c.DB.ListForWrite(target)
		c.born(there, target)
		dst.Push(to, c.scratch)
		l, _ = c.DB.ListForWrite(source)
	}
	if cap(c.scratch) > keepBuffer {
		c.scratch = nil
	}
	c.Modified(target)
	c.Notify(EventList, pushEvent(to), target)
	c.tookFrom(&l, source, from)
	c.Modified(source)
	c.Dirty(1)
	switch c.Cmd.Name { // the effect of a blocking form is that of the one that does not block
	case "blmove":
		wherefrom, whereto := c.Args[3], c.Args[4]
		if missing == nil {
			wherefrom, whereto = side(from), side(to)
		}
		c.Propagate(verbLMove, source, target, wherefrom, whereto)
	case "brpoplpush":
		c.Propagate(verbRPopLPush, source, target)
	}
}

func side(head bool) []byte {
	if head {
		return wordLeft
	}
	return wordRight
}

func cmdBlpop(c *Ctx) { c.blockingPop(true) }
func cmdBrpop(c *Ctx) { c.blockingPop(false) }

func (c *Ctx) blockingPop(head bool) {
	if ms, ok := c.secondsArg(len(c.Args) - 1); ok {
		c.popOrWait(c.Args[1:len(c.Args)-1], ms, popFrom(head, -1))
	}
}

// popOrWait tries the keys in turn and blocks when none is there.
func (c *Ctx) popOrWait(keys [][]byte, ms int64, pop func(c *Ctx, key []byte) bool) {
	for _, key := range keys {
		e, found := c.LookupWrite(key)
		if !found {
			continue
		}
		if c.isList(e) {
			pop(c, key)
			c.Modified(key)
		}
		return
	}
	if !c.Block(Wait{Keys: keys, Kind: "list", Timeout: ms, Expired: (*resp.Writer).NullArray, Serve: pop}) {
		c.Out.NullArray()
	}
}

// popFrom makes the function that takes elements from an end of the list at a key, if there is one, and replies with
// the key and them: one for count -1, as BLPOP does, up to count otherwise, as BLMPOP.
func popFrom(head bool, count int64) func(c *Ctx, key []byte) bool {
	verb := verbRPop
	if head {
		verb = verbLPop
	}
	return func(c *Ctx, key []byte) bool {
		e, found := c.LookupWrite(key)
		if !found || e.Kind() != store.ListKind {
			return false
		}
		l, _ := c.DB.ListForWrite(key)
		c.Out.Array(2)
		c.Out.Bulk(key)
		n := 1
		if count < 0 {
			c.Propagate(verb, key)
		} else {
			n = int(min(count, int64(l.Len())))
			c.Out.Array(n)
			c.Propagate(verb, key, strconv.AppendInt(nil, int64(n), 10))
		}
		c.take(&l, key, head, n)
		c.tookFrom(&l, key, head)
		c.Dirty(n)
		return true
	}
}

func cmdLmpop(c *Ctx) {
	if keys, head, count, ok := c.mpopArgs(1); ok {
		pop := popFrom(head, count)
		for i, key := range keys {
			e, found := c.LookupWrite(key)
			if !found {
				continue
			}
			if !c.isList(e) {
				return
			}
			l, _ := c.DB.ListForWrite(key)
			if c.longPop(&l, keys[:i+1], head, int(min(count, int64(l.Len())))) {
				return
			}
			pop(c, key)
			c.Modified(key)
			return
		}
		c.Out.NullArray()
	}
}

func cmdBlmpop(c *Ctx) {
	keys, head, count, ok := c.mpopArgs(2)
	if !ok {
		return
	}
	if ms, ok := c.secondsArg(1); ok {
		c.popOrWait(keys, ms, popFrom(head, count))
	}
}

// mpopArgs reads numkeys, keys, a side and perhaps a count from argument i on, or replies with an error.
func (c *Ctx) mpopArgs(i int) (keys [][]byte, head bool, count int64, ok bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n < 1 {
		c.Out.Error("numkeys should be greater than 0")
		return nil, false, 0, false
	}
	if n >= int64(len(c.Args)-i-1) {
		c.Out.Error(errSyntax)
		return nil, false, 0, false
	}
	keys = c.Args[i+1 : i+1+int(n)]
	i += 1 + int(n)
	if head, ok = c.sideArg(i); !ok {
		return nil, false, 0, false
	}
	count = 1
	if rest := c.Args[i+1:]; len(rest) > 0 {
		if len(rest) < 2 || !c.is(i+1, "count") {
			c.Out.Error(errSyntax)
			return nil, false, 0, false
		}
		if count, ok = ParseInt(rest[1]); !ok || count < 1 {
			c.Out.Error("count should be greater than 0")
			return nil, false, 0, false
		}
		if len(rest) > 2 {
			c.Out.Error(errSyntax)
			return nil, false, 0, false
		}
	}
	return keys, head, count, true
}

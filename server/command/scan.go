package command

import (
	"strconv"

	"github.com/understudy-db/understudy/server/store"
)

func cmdKeys(c *Ctx) {
	if c.isLong(c.DB.Len()) && c.long(c.longKeys) {
		return
	}
	pattern := c.Args[1]
	all := string(pattern) == "*"
	mark, n := c.Out.DeferArray(), 0
	c.DB.EachKey(func(key []byte, e store.Entry) bool {
		if (all || Match(pattern, key)) && !c.hides(e) {
			c.Out.Bulk(key)
			n++
		}
		return !c.TooLong()
	})
	c.Out.SetArrayLen(mark, n)
}

type scanOptions struct {
	count   int64
	pattern []byte // nil: everything
	kind    []byte // SCAN's TYPE; nil: any
}

// parseScan reads the options from argument i on.
func (c *Ctx) parseScan(i int, types bool) (o scanOptions, ok bool) {
	o.count = 10
	for ; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch {
		case more && c.is(i, "count"):
			if o.count, ok = c.intArg(i + 1); !ok {
				return o, false
			}
			if o.count < 1 {
				c.Out.Error(errSyntax)
				return o, false
			}
		case more && c.is(i, "match"):
			o.pattern = c.Args[i+1]
			if string(o.pattern) == "*" {
				o.pattern = nil
			}
		case more && types && c.is(i, "type"):
			o.kind = c.Args[i+1]
		default:
			c.Out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

func (o *scanOptions) matches(name []byte) bool { return o.pattern == nil || Match(o.pattern, name) }

// maxScan bounds what one call may be asked to visit, so that a huge COUNT means "all" instead of an overflow.
const maxScan = 1 << 30

func cmdScan(c *Ctx) {
	cursor, ok := c.cursorArg(1)
	if !ok {
		return
	}
	o, ok := c.parseScan(2, true)
	if !ok || c.longScanKeys(cursor, &o) {
		return
	}
	c.Out.Array(2)
	c.scanReply(func(emit func(parts ...[]byte)) uint64 {
		return c.DB.Scan(cursor, int(min(o.count, maxScan)), func(key []byte, e store.Entry) {
			if o.matches(key) && (o.kind == nil || IsWord(o.kind, e.Kind().String())) && !c.hides(e) {
				emit(key)
			}
		})
	})
}

func (c *Ctx) cursorArg(i int) (uint64, bool) {
	cursor, ok := ParseCursor(c.Args[i])
	if !ok {
		c.Out.Error("invalid cursor")
	}
	return cursor, ok
}

// scanReply writes the cursor, which is known last, before the elements.
func (c *Ctx) scanReply(scan func(emit func(parts ...[]byte)) (next uint64)) {
	var found [][]byte
	next := scan(func(parts ...[]byte) { found = append(found, parts...) })
	var digits [20]byte
	c.Out.Bulk(strconv.AppendUint(digits[:0], next, 10))
	c.Out.Array(len(found))
	for _, f := range found { // they point into the store, which does not change before we return
		c.Out.Bulk(f)
	}
}

// emptyScan is the reply of a walk over nothing.
func (c *Ctx) emptyScan() {
	c.Out.Array(2)
	c.Out.BulkString("0")
	c.Out.Array(0)
}

func cmdHscan(c *Ctx) {
	cursor, ok := c.cursorArg(2)
	if !ok {
		return
	}
	h, found, ok := c.hashToRead(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.emptyScan()
		return
	}
	o, ok := c.parseScan(3, false)
	if !ok {
		return
	}
	scan := func(h *store.Hash, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		return h.Scan(cursor, n, func(f, v []byte) {
			if o.matches(f) {
				emit(f, v)
			}
		})
	}
	if c.longScanIn(cursor, &o, h.Len(), func(e store.Entry, cursor uint64, n int, emit func(parts ...[]byte)) uint64 {
		h := e.Hash()
		return scan(&h, cursor, n, emit)
	}) {
		return
	}
	c.Out.Array(2)
	c.scanReply(func(emit func(parts ...[]byte)) uint64 { return scan(&h, cursor, int(min(o.count, maxScan)), emit) })
}

package command

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/understudy-db/understudy/server/store"
)

const (
	errNotHLL     = "-WRONGTYPE Key is not a valid HyperLogLog string value."
	errCorruptHLL = "-INVALIDOBJ Corrupted HLL object detected"
)

// hllIn gives the bytes of a value that is a HyperLogLog, which point into the store, or what is wrong with it.
func hllIn(e store.Entry) (b []byte, problem string) {
	if e.Kind() != store.String {
		return nil, errWrongType
	}
	if _, isInt := e.Int(); !isInt {
		if b = e.Bytes(nil); isHLL(b) {
			return b, ""
		}
	}
	return nil, errNotHLL
}

// hllOf is hllIn; ok is false after an error reply.
func (c *Ctx) hllOf(e store.Entry) (b []byte, ok bool) {
	b, problem := hllIn(e)
	if problem != "" {
		c.Out.Error(problem)
	}
	return b, problem == ""
}

// storeHLL makes key the string b, leaving its expiry alone. The encoding becomes raw, as for every edited string.
func (c *Ctx) storeHLL(key, b []byte) { copy(c.DB.EditString(key, len(b)), b) }

func (c *Ctx) hllLimit() int64 {
	if c.Conf == nil {
		return 3000
	}
	return c.Conf.HLLSparseMax
}

func cmdPfadd(c *Ctx) {
	key := c.Args[1]
	e, found := c.LookupWrite(key)
	updated, inPlace := 0, false
	var b []byte
	if !found {
		b = newHLL()
		updated++
	} else {
		old, ok := c.hllOf(e)
		if !ok {
			return
		}
		if inPlace = old[4] == hllDense; inPlace {
			b = c.DB.EditString(key, len(old))
		} else {
			b = append(b, old...)
		}
	}
	for _, element := range c.Args[2:] {
		register, rank := hllPlace(element)
		next, raised, ok := hllRaise(b, register, rank, c.hllLimit())
		if !ok {
			c.Out.Error(errCorruptHLL)
			return
		}
		if b = next; raised {
			updated++
		}
	}
	if updated > 0 {
		hllInvalidate(b)
	}
	if !inPlace {
		c.storeHLL(key, b)
	}
	c.born(found, key)
	if updated > 0 {
		c.touched(EventString, "pfadd", key)
		c.Dirty(updated - 1)
	}
	c.Out.Int(boolInt(updated > 0))
}

func cmdPfcount(c *Ctx) {
	if len(c.Args) > 2 {
		c.pfcountMany()
		return
	}
	key := c.Args[1]
	e, found := c.LookupRead(key)
	if !found {
		c.Out.Int(0)
		return
	}
	b, ok := c.hllOf(e)
	if !ok {
		return
	}
	b = c.DB.EditString(key, len(b))
	n, valid := hllCached(b)
	if !valid {
		if n, ok = hllCount(b); !ok {
			c.Out.Error(errCorruptHLL)
			return
		}
		hllCache(b, n) // the cache is part of the value, and so has its effect
		c.Modified(key)
		c.Dirty(1)
	}
	c.Out.Int(int64(n))
}

// pfcountMany counts the union of several; what is missing is empty.
func (c *Ctx) pfcountMany() {
	u := c.hllUnion(c.LookupRead)
	if u == nil || !c.fits(u) {
		return
	}
	var histogram [64]int
	for _, v := range u.top {
		histogram[v]++
	}
	c.Out.Int(int64(estimate(&histogram)))
}

// hllUnion is what several HyperLogLogs have together.
type hllUnion struct {
	top     [hllRegisters]uint8
	dense   bool   // one of them is
	problem string // an error reply; the others are not looked at then
	whole   bool   // all were looked at
}

// add raises the registers to those of a value, and answers false when it is not a HyperLogLog.
func (u *hllUnion) add(e store.Entry) bool {
	b, problem := hllIn(e)
	if problem == "" {
		u.dense = u.dense || b[4] == hllDense
		if !hllEach(b, u.raise) {
			problem = errCorruptHLL
		}
	}
	u.problem = problem
	return problem == ""
}

func (u *hllUnion) raise(from, n int, value uint8) {
	for i := from; i < from+n; i++ {
		u.top[i] = max(u.top[i], value)
	}
}

// fits replies with what is wrong with a union, if something is.
func (c *Ctx) fits(u *hllUnion) bool {
	if u.problem != "" {
		c.Out.Error(u.problem)
	}
	return u.problem == ""
}

// hllUnion unites those at every key of the command; nil when it goes on after its handler.
func (c *Ctx) hllUnion(lookup func(key []byte) (store.Entry, bool)) *hllUnion {
	if c.made != nil && c.made.union != nil {
		c.countLooked()
		return c.made.union
	}
	if c.longUnion() {
		return nil
	}
	u := &hllUnion{}
	for _, key := range c.Args[1:] {
		if e, found := lookup(key); found && !u.add(e) {
			break
		}
	}
	return u
}

func cmdPfmerge(c *Ctx) {
	key := c.Args[1]
	u := c.hllUnion(c.lookupCounted)
	if u == nil || !c.fits(u) {
		return
	}
	e, found := c.LookupWrite(key)
	b := newHLL()
	if found { // a HyperLogLog, since it was among those united
		b = e.AppendString(b[:0])
	}
	if u.dense {
		b, _ = hllToDense(b)
	}
	for i, v := range u.top {
		if v != 0 {
			b, _, _ = hllRaise(b, i, v, c.hllLimit()) // the union has found what is corrupt
		}
	}
	hllInvalidate(b)
	c.storeHLL(key, b)
	c.born(found, key)
	c.touched(EventString, "pfadd", key)
	c.Out.OK()
}

func cmdPfdebug(c *Ctx) {
	key := c.Args[2]
	e, found := c.LookupWrite(key)
	if !found {
		c.Out.Error("The specified key does not exist")
		return
	}
	old, ok := c.hllOf(e)
	if !ok {
		return
	}
	b := append([]byte(nil), old...)
	c.storeHLL(key, b)
	switch {
	case c.is(1, "getreg"):
		if b, ok = c.makeDense(key, b); !ok {
			return
		}
		c.Out.Array(hllRegisters)
		for i := range hllRegisters {
			c.Out.Int(int64(denseGet(b, i)))
		}
	case c.is(1, "decode"):
		c.decodeHLL(b)
	case c.is(1, "encoding"):
		c.Out.Simple([]string{hllDense: "dense", hllSparse: "sparse"}[b[4]])
	case c.is(1, "todense"):
		converts := b[4] == hllSparse
		if _, ok = c.makeDense(key, b); ok {
			c.Out.Int(boolInt(converts))
		}
	default:
		name, _, _ := bytes.Cut(c.Args[1], []byte{0})
		c.Out.Error(fmt.Sprintf("Unknown PFDEBUG subcommand '%s'", name))
	}
}

// makeDense stores the dense form of b, which is a change even though it counts the same; ok is false after an error.
func (c *Ctx) makeDense(key, b []byte) (dense []byte, ok bool) {
	if b[4] == hllDense {
		return b, true
	}
	if dense, ok = hllToDense(b); !ok {
		c.Out.Error(errCorruptHLL)
		return nil, false
	}
	c.storeHLL(key, dense)
	c.Dirty(1)
	return dense, true
}

func (c *Ctx) decodeHLL(b []byte) {
	if b[4] != hllSparse {
		c.Out.Error("HLL encoding is not sparse")
		return
	}
	var text []byte
	for p := b[hllHeader:]; len(p) > 0; {
		r := runAt(p)
		if len(text) > 0 {
			text = append(text, ' ')
		}
		switch {
		case r.value != 0:
			text = fmt.Appendf(text, "v:%d,%d", r.value, r.n)
		case r.size == 1:
			text = fmt.Appendf(text, "z:%d", r.n)
		default:
			text = fmt.Appendf(text, "Z:%d", r.n)
		}
		p = p[min(r.size, len(p)):]
	}
	c.Out.Bulk(text)
}

// selfTestElements bounds PFSELFTEST, which holds the lock; Redis' own goes on to ten million.
const selfTestElements = 100_000

// cmdPfselftest checks registers of the dense form, that both forms agree, and the error of the estimate.
func cmdPfselftest(c *Ctx) {
	dense, _ := hllToDense(newHLL())
	var want [hllRegisters]uint8
	for range 4 {
		for i := range want {
			want[i] = uint8(c.Random() & 63)
			densePut(dense, i, want[i])
		}
		for i, w := range want {
			if v := denseGet(dense, i); v != w {
				c.Out.Error(fmt.Sprintf("TESTFAILED Register %d should be %d but is %d", i, w, v))
				return
			}
		}
	}
	clear(dense[hllHeader:])
	sparse, seed, checkpoint := newHLL(), c.Random(), 1
	var element [8]byte
	for j := 1; j <= selfTestElements; j++ {
		binary.LittleEndian.PutUint64(element[:], uint64(j)^seed)
		register, rank := hllPlace(element[:])
		dense, _, _ = hllRaise(dense, register, rank, 0)
		sparse, _, _ = hllRaise(sparse, register, rank, c.hllLimit())
		if j < checkpoint {
			continue
		}
		if problem := checkHLL(dense, sparse, j, c.hllLimit()); problem != "" {
			c.Out.Error("TESTFAILED " + problem)
			return
		}
		checkpoint *= 10
	}
	c.Out.OK()
}

// checkHLL compares the two forms after n different elements.
func checkHLL(dense, sparse []byte, n int, limit int64) (problem string) {
	count, _ := hllCount(dense)
	other, _ := hllCount(sparse)
	tolerance := math.Ceil(1.04 / math.Sqrt(hllRegisters) * 6 * float64(n))
	switch {
	case int64(n) < limit/2 && sparse[4] != hllSparse:
		return "sparse encoding not used"
	case count != other:
		return "dense/sparse disagree"
	case math.Abs(float64(count)-float64(n)) > tolerance:
		return fmt.Sprintf("Too big error. card:%d abserr:%.0f", n, math.Abs(float64(count)-float64(n)))
	}
	return ""
}

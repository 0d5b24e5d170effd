package command

import (
	"math/bits"

	"github.com/understudy-db/understudy/server/store"
)

const errBitOffset = "bit offset is not an integer or out of range"

// bitOffset reads a bit's position. With width > 0 the form #n means n times width.
func (c *Ctx) bitOffset(i, width int) (uint64, bool) {
	arg, factor := c.Args[i], int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, factor = arg[1:], int64(width)
	}
	n, ok := ParseInt(arg)
	n *= factor
	if !ok || n < 0 || !c.FromMaster && n>>3 >= c.maxBulk() {
		c.Out.Error(errBitOffset)
		return 0, false
	}
	return uint64(n), true
}

// editBits returns the bytes of a string that holds bit `last`, created or grown when needed; grown tells that it was.
func (c *Ctx) editBits(key []byte, last uint64) (b []byte, found, grown, ok bool) {
	e, found := c.LookupWrite(key)
	if found && !c.isString(e) {
		return nil, found, false, false
	}
	size, old := int(last>>3)+1, 0
	if found {
		old = e.StrLen()
	}
	return c.DB.EditString(key, max(size, old)), found, !found || size > old, true
}

func cmdSetbit(c *Ctx) {
	const badBit = "bit is not an integer or out of range"
	offset, ok := c.bitOffset(2, 0)
	if !ok {
		return
	}
	on, ok := ParseInt(c.Args[3])
	if !ok || on&^1 != 0 {
		c.Out.Error(badBit)
		return
	}
	key := c.Args[1]
	b, found, grown, ok := c.editBits(key, offset)
	if !ok {
		return
	}
	mask := byte(1) << (7 - offset&7)
	old := boolInt(b[offset>>3]&mask != 0)
	c.born(found, key)
	if grown || old != on {
		b[offset>>3] &^= mask
		if on == 1 {
			b[offset>>3] |= mask
		}
		c.touched(EventString, "setbit", key)
	}
	c.Out.Int(old)
}

func cmdGetbit(c *Ctx) {
	offset, ok := c.bitOffset(2, 0)
	if !ok {
		return
	}
	b, ok := c.bitsToRead(c.Args[1])
	if !ok {
		return
	}
	set := offset>>3 < uint64(len(b)) && b[offset>>3]&(1<<(7-offset&7)) != 0
	c.Out.Int(boolInt(set))
}

// bitsToRead returns the bytes of a string, nil for a missing key; false after an error reply.
func (c *Ctx) bitsToRead(key []byte) ([]byte, bool) {
	e, found := c.LookupRead(key)
	switch {
	case !found:
		return nil, true
	case !c.isString(e):
		return nil, false
	}
	return c.bytes(e), true
}

// bitRange is a range of bytes with masks for the bits of the first and last byte that lie outside.
type bitRange struct {
	start, end  int64
	first, last byte // bits to ignore
}

// parseBitRange reads "start [end [BIT|BYTE]]" at argument i for a string of size bytes. empty: nothing to look at.
func (c *Ctx) parseBitRange(i int, size int64) (r bitRange, endGiven, ok bool) {
	r.end = size - 1
	if len(c.Args) <= i {
		return r, false, true
	}
	if r.start, ok = c.intArg(i); !ok {
		return r, false, false
	}
	byBit := false
	if endGiven = len(c.Args) > i+1; endGiven {
		if byBit, ok = c.bitUnit(i + 2); !ok {
			return r, true, false
		}
		if r.end, ok = c.intArg(i + 1); !ok {
			return r, true, false
		}
	}
	total := size
	if byBit {
		total <<= 3
	}
	r.start, r.end = clampRange(r.start, r.end, total)
	if byBit && r.start <= r.end {
		r.first = ^byte(0xff >> (r.start & 7))
		r.last = byte(1<<(7-r.end&7)) - 1
		r.start >>= 3
		r.end >>= 3
	}
	return r, endGiven, true
}

// bitUnit reads the optional unit at argument i and refuses anything behind it.
func (c *Ctx) bitUnit(i int) (byBit, ok bool) {
	switch {
	case len(c.Args) == i:
		return false, true
	case len(c.Args) == i+1 && c.is(i, "bit"):
		return true, true
	case len(c.Args) == i+1 && c.is(i, "byte"):
		return false, true
	}
	c.Out.Error(errSyntax)
	return false, false
}

func cmdBitcount(c *Ctx) {
	e, found := c.LookupRead(c.Args[1])
	if !found {
		c.Out.Int(0)
		return
	}
	if !c.isString(e) {
		return
	}
	b := c.bytes(e)
	if len(c.Args) == 3 || len(c.Args) > 5 {
		c.Out.Error(errSyntax)
		return
	}
	if len(c.Args) > 3 {
		start, ok := c.intArg(2)
		if !ok {
			return
		}
		end, ok := c.intArg(3)
		if !ok {
			return
		}
		if start < 0 && end < 0 && start > end { // before the unit is looked at, as Redis does
			c.Out.Int(0)
			return
		}
	}
	r, _, ok := c.parseBitRange(2, int64(len(b)))
	if !ok {
		return
	}
	if r.start > r.end {
		c.Out.Int(0)
		return
	}
	var n int64
	switch {
	case c.made != nil:
		n = c.made.bits.ones
	case c.longBits(c.Args[1], r, countBits):
		return
	default:
		n = popcount(b[r.start : r.end+1])
	}
	n -= int64(bits.OnesCount8(b[r.start]&r.first) + bits.OnesCount8(b[r.end]&r.last))
	c.Out.Int(n)
}

func countBits(m *Made, b []byte, part bitRange) (done bool) {
	m.bits.ones += popcount(b[part.start : part.end+1])
	return false
}

func cmdBitpos(c *Ctx) {
	bit, ok := c.intArg(2)
	if !ok {
		return
	}
	if bit != 0 && bit != 1 {
		c.Out.Error("The bit argument must be 1 or 0.")
		return
	}
	e, found := c.LookupRead(c.Args[1])
	if !found { // an endless row of clear bits
		c.Out.Int(-bit)
		return
	}
	if !c.isString(e) {
		return
	}
	b := c.bytes(e)
	if len(c.Args) > 6 {
		c.Out.Error(errSyntax)
		return
	}
	r, endGiven, ok := c.parseBitRange(3, int64(len(b)))
	if !ok {
		return
	}
	if r.start > r.end {
		c.Out.Int(-1)
		return
	}
	pos, later := c.bitPos(b, r, bit == 1)
	if later {
		return
	}
	if pos < 0 && bit == 0 && !endGiven { // the bits behind the string are clear
		pos = int64(len(b)) << 3
	}
	c.Out.Int(pos)
}

// bitPos is find; later is true when the command goes on after its handler, as the bit is not near the range's beginning.
func (c *Ctx) bitPos(b []byte, r bitRange, set bool) (pos int64, later bool) {
	if c.made != nil {
		return c.made.bits.pos, false
	}
	near := r.part(r.start, c.longBytes())
	if pos = near.find(b, set); pos >= 0 || near.end == r.end {
		return pos, false
	}
	if c.longBits(c.Args[1], r, func(m *Made, b []byte, part bitRange) bool {
		m.bits.pos = part.find(b, set)
		return m.bits.pos >= 0
	}) {
		return 0, true
	}
	return r.part(near.end+1, r.end-near.end).find(b, set), false
}

func cmdBitop(c *Ctx) {
	name := ""
	for n := range bitOps {
		if c.is(1, n) {
			name = n
		}
	}
	if name == "" {
		c.Out.Error(errSyntax)
		return
	}
	if name == "not" && len(c.Args) != 4 {
		c.Out.Error("BITOP NOT must be called with a single source key.")
		return
	}
	sources, ok := c.bitSources(c.Args[3:])
	if ok && !c.longBitop(bitOps[name], longest(sources)) {
		c.storeBits(c.Args[2], bitOps[name], sources)
	}
	for i := range sources {
		sources[i].release()
	}
}

// bitSource is a string as BITOP found it: a big one is held, so that what is written to its key does not change it.
type bitSource struct {
	bytes []byte
	blob  *store.Blob
}

func (s *bitSource) release() {
	if s.blob != nil {
		s.blob.Release()
	}
}

// bitSources takes hold of strings; ok is false after an error reply. They have to be released.
func (c *Ctx) bitSources(keys [][]byte) (sources []bitSource, ok bool) {
	for _, key := range keys {
		e, found := c.lookupCounted(key)
		if found && !c.isString(e) {
			return sources, false
		}
		var s bitSource
		if found {
			if s.blob = e.Blob(); s.blob != nil {
				s.bytes = s.blob.Bytes()
			} else {
				s.bytes = e.AppendString(nil)
			}
		}
		sources = append(sources, s)
	}
	return sources, true
}

func longest(sources []bitSource) (size int) {
	for i := range sources {
		size = max(size, len(sources[i].bytes))
	}
	return size
}

// storeBits stores the result of BITOP as raw bytes, or deletes the key when it is empty.
func (c *Ctx) storeBits(key []byte, op bitOp, sources []bitSource) {
	list, size := make([][]byte, len(sources)), longest(sources)
	for i, s := range sources {
		list[i] = s.bytes
	}
	_, found := c.LookupWrite(key)
	switch {
	case size > 0:
		if !c.attachText(key, true) {
			combine(c.DB.MakeString(key, size), op, list)
		}
		c.born(found, key)
		c.touched(EventString, "set", key)
	case found:
		c.DB.Delete(key)
		c.touched(EventGeneric, "del", key)
	}
	c.Out.Int(int64(size))
}

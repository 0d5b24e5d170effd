package command

import "math"

type bitfieldOp struct {
	kind     byte // 'g', 's', 'i': GET, SET, INCRBY
	overflow byte // 'w', 's', 'f': WRAP, SAT, FAIL
	signed   bool
	width    uint
	offset   uint64
	value    int64
}

func cmdBitfield(c *Ctx) { c.bitfield(false) }

func cmdBitfieldRo(c *Ctx) { c.bitfield(true) }

func (c *Ctx) bitfield(readOnly bool) {
	ops, ok := c.parseBitfield()
	if !ok {
		return
	}
	last, writes := uint64(0), false
	for _, op := range ops {
		if op.kind != 'g' {
			writes = true
			last = max(last, op.offset+uint64(op.width)-1)
		}
	}
	key := c.Args[1]
	if !writes {
		c.bitfieldRead(key, ops)
		return
	}
	if readOnly {
		c.Out.Error("BITFIELD_RO only supports the GET subcommand")
		return
	}
	b, found, grown, ok := c.editBits(key, last)
	if !ok {
		return
	}
	c.born(found, key)
	changes := 0
	c.Out.Array(len(ops))
	for _, op := range ops {
		if c.bitfieldStep(b, op, grown) {
			changes++
		}
	}
	switch {
	case changes > 0:
		c.touched(EventString, "setbit", key)
		c.Dirty(changes - 1)
	case grown: // and then every write overflowed. Redis 7.0 does not tell its replicas of the longer string: they would differ
		c.Modified(key)
		c.Dirty(1)
	}
}

func (c *Ctx) bitfieldRead(key []byte, ops []bitfieldOp) {
	find := c.LookupRead
	if c.Cmd.IsWrite() {
		find = c.lookupCounted
	}
	e, found := find(key)
	if found && !c.isString(e) {
		return
	}
	var b []byte
	if found {
		b = c.bytes(e)
	}
	c.Out.Array(len(ops))
	for _, op := range ops {
		c.Out.Int(op.read(b))
	}
}

// parseBitfield reads all operations, so that an error in the last one leaves the string untouched.
func (c *Ctx) parseBitfield() (ops []bitfieldOp, ok bool) {
	overflow := byte('w')
	for i := 2; i < len(c.Args); {
		left := len(c.Args) - i - 1
		op := bitfieldOp{overflow: overflow}
		switch {
		case c.is(i, "get") && left >= 2:
			op.kind = 'g'
		case c.is(i, "set") && left >= 3:
			op.kind = 's'
		case c.is(i, "incrby") && left >= 3:
			op.kind = 'i'
		case c.is(i, "overflow") && left >= 1:
			if overflow, ok = c.overflowArg(i + 1); !ok {
				return nil, false
			}
			i += 2
			continue
		default:
			c.Out.Error(errSyntax)
			return nil, false
		}
		if op.signed, op.width, ok = c.bitfieldType(i + 1); !ok {
			return nil, false
		}
		if op.offset, ok = c.bitOffset(i+2, int(op.width)); !ok {
			return nil, false
		}
		i += 3
		if op.kind != 'g' {
			if op.value, ok = c.intArg(i); !ok {
				return nil, false
			}
			i++
		}
		ops = append(ops, op)
	}
	return ops, true
}

func (c *Ctx) overflowArg(i int) (byte, bool) {
	for _, name := range [...]string{"wrap", "sat", "fail"} {
		if c.is(i, name) {
			return name[0], true
		}
	}
	c.Out.Error("Invalid OVERFLOW type specified")
	return 0, false
}

func (c *Ctx) bitfieldType(i int) (signed bool, width uint, ok bool) {
	arg := c.Args[i]
	if len(arg) > 0 && (arg[0] == 'i' || arg[0] == 'u') {
		signed = arg[0] == 'i'
		n, isInt := ParseInt(arg[1:])
		if isInt && n >= 1 && n <= 63+boolInt(signed) {
			return signed, uint(n), true
		}
	}
	c.Out.Error("Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
	return false, 0, false
}

// read returns the integer at the operation's place; bits behind the end of b are clear.
func (op *bitfieldOp) read(b []byte) int64 {
	var v uint64
	for i := uint64(0); i < uint64(op.width); i++ {
		at := op.offset + i
		v <<= 1
		if at>>3 < uint64(len(b)) {
			v |= uint64(b[at>>3]>>(7-at&7)) & 1
		}
	}
	if op.signed && op.width < 64 && v>>(op.width-1) == 1 {
		v |= math.MaxUint64 << op.width
	}
	return int64(v)
}

func (op *bitfieldOp) write(b []byte, v uint64) {
	for i := uint64(0); i < uint64(op.width); i++ {
		at := op.offset + i
		mask := byte(1) << (7 - at&7)
		if v>>(uint64(op.width)-1-i)&1 == 1 {
			b[at>>3] |= mask
		} else {
			b[at>>3] &^= mask
		}
	}
}

// bitfieldStep executes one operation and replies; it tells whether the string changed.
func (c *Ctx) bitfieldStep(b []byte, op bitfieldOp, grown bool) bool {
	old := op.read(b)
	if op.kind == 'g' {
		c.Out.Int(old)
		return false
	}
	base, by := old, op.value
	if op.kind == 's' {
		base, by = op.value, 0
	}
	result, overflow := op.add(base, by)
	if overflow && op.overflow == 'f' {
		c.Out.Null()
		return false
	}
	if op.kind == 's' {
		c.Out.Int(old)
	} else {
		c.Out.Int(result)
	}
	op.write(b, uint64(result))
	return grown || old != result
}

// add returns base+by in the operation's type, wrapped or saturated when it does not fit.
func (op *bitfieldOp) add(base, by int64) (result int64, overflow bool) {
	if op.signed {
		return op.addSigned(base, by)
	}
	highest := uint64(1)<<op.width - 1
	v := uint64(base)
	sum := v + uint64(by)
	switch {
	case v > highest || by > 0 && uint64(by) > highest-v:
		if op.overflow == 's' {
			return int64(highest), true
		}
		return int64(sum & highest), true
	case by < 0 && by < -int64(v):
		if op.overflow == 's' {
			return 0, true
		}
		return int64(sum & highest), true
	}
	return int64(sum), false
}

func (op *bitfieldOp) addSigned(base, by int64) (result int64, overflow bool) {
	highest := int64(math.MaxInt64) >> (64 - op.width)
	lowest := -highest - 1
	sum := base + by
	// The room may wrap around for a SET far outside the type; Redis lets it (checkSignedBitfieldOverflow), so that a value
	// far below a narrow type saturates at its highest.
	up, down := highest-base, lowest-base
	tooHigh := base > highest || op.width < 64 && by > up || base >= 0 && by > 0 && by > up
	tooLow := base < lowest || op.width < 64 && by < down || base < 0 && by < 0 && by < down
	switch {
	case !tooHigh && !tooLow:
		return sum, false
	case op.overflow == 's' && tooHigh:
		return highest, true
	case op.overflow == 's':
		return lowest, true
	}
	return sum << (64 - op.width) >> (64 - op.width), true
}

package store

// ZSet is a handle on a sorted set, valid until the next write of its DB that does not go through it. Its members are
// ordered by score, then by their bytes; a rank counts from the lowest, which has rank 0.
type ZSet struct {
	handle
	obj *zsetObject // nil for a small one
}

// ZSet is a handle for reading an entry's sorted set.
func (e Entry) ZSet() (z ZSet) {
	z.read(e)
	z.open()
	return z
}

// ForWrite makes z a handle for writing the sorted set at key, an empty new one when there is none. The caller deletes the key when
// it leaves the set empty.
func (z *ZSet) ForWrite(d *DB, key []byte) (wrongType bool) {
	if z.forWrite(d, key, ZSetKind, typeZSetPack, packHeader) {
		return true
	}
	z.open()
	return false
}

// ForWriteMet is ForWrite of a sorted set that the latest Use of d has found at key, when nothing was written since.
func (z *ZSet) ForWriteMet(d *DB, key []byte) {
	z.forWriteMet(d, key)
	z.open()
}

// ZSetForWrite is ForWrite where the copy of the handle does not matter.
func (d *DB) ZSetForWrite(key []byte) (z ZSet, wrongType bool) {
	wrongType = z.ForWrite(d, key)
	return z, wrongType
}

// open finds the object of a big sorted set.
func (z *ZSet) open() {
	z.obj = nil
	if o := z.object(); o != nil {
		z.obj = o.(*zsetObject)
	}
}

// Len is the number of members.
func (z *ZSet) Len() int {
	z.check()
	if z.obj != nil {
		return z.obj.fields.count
	}
	return packLen(z.bytes())
}

// Score returns a member's score.
func (z *ZSet) Score(member []byte) (score float64, ok bool) {
	z.check()
	if z.obj != nil {
		v, ok := z.obj.get(member)
		if !ok {
			return 0, false
		}
		return scoreOf(v), true
	}
	it, ok := zpackFind(z.bytes(), member)
	return it.score, ok
}

// Set gives a member a score, which must be a number, and reports whether the member is new or has another score now. An
// equal score is left as it is, so that a zero keeps its sign. member must not point into the store.
func (z *ZSet) Set(member []byte, score float64) (created, changed bool) {
	z.check()
	z.wrote()
	if z.obj != nil {
		return z.obj.set(member, score)
	}
	b := z.bytes()
	it, exists, at := zpackPlace(b, member, score)
	if !exists && z.outgrows(packLen(b)+1, len(member)) {
		z.convert()
		return z.obj.set(member, score)
	}
	if exists && it.score == score {
		return false, false
	}
	z.setPacked(b, it, exists, at, member, score)
	return !exists, true
}

func (z *ZSet) outgrows(members, longest int) bool {
	c := &z.p.space.store.Config
	return members > min(c.ZSetMaxListpackEntries, packMax) || longest > c.ZSetMaxListpackValue
}

// Reserve makes an empty sorted set one that will hold so many members, the longest of so many bytes, without another
// change of its form.
func (z *ZSet) Reserve(members, longest int) {
	z.check()
	if z.obj == nil && z.outgrows(members, longest) {
		z.wrote()
		z.convert()
	}
}

// convert turns a pack into a table with an order.
func (z *ZSet) convert() {
	o := z.p.newZSet()
	b := z.bytes()
	for at := packHeader; at < len(b); {
		it := zpackAt(b, at)
		o.set(it.bytes(b), it.score)
		at = it.end
	}
	z.become(o)
	z.obj = o
}

// Del removes a member and reports whether it was there.
func (z *ZSet) Del(member []byte) bool {
	z.check()
	if z.obj != nil {
		z.wrote()
		return z.obj.del(member)
	}
	it, ok := zpackFind(z.bytes(), member)
	if !ok {
		return false
	}
	z.wrote()
	b := z.splice(it.start, it.end, 0)
	packSetLen(b, packLen(b)-1)
	return true
}

// DelAll removes members, each of which may be named more than once, and returns how many were there.
func (z *ZSet) DelAll(members [][]byte) (removed int) {
	z.check()
	if z.obj != nil && len(members) >= delAllFrom {
		z.wrote()
		return z.obj.delAll(members)
	}
	for _, m := range members {
		if z.Del(m) {
			removed++
		}
	}
	return removed
}

// Cut removes n members from a rank on; rank+n is at most Len.
func (z *ZSet) Cut(rank, n int) {
	z.check()
	if n <= 0 {
		return
	}
	z.wrote()
	switch {
	case z.obj == nil:
		z.cutPacked(rank, n)
	case z.CutsFast(n):
		z.renew(rank, n)
	default:
		z.obj.cutRange(rank, n)
	}
}

// A set that loses so many members that few are left is made anew of these; Reclaim frees the old one.
const (
	renewFrom  = 1024
	renewShare = 4
)

// CutsFast tells whether Cut of n members takes time in proportion to those that stay.
func (z *ZSet) CutsFast(n int) bool { return n >= renewFrom && z.Len()-n <= n/renewShare }

// renew is Cut of nearly all members.
func (z *ZSet) renew(rank, n int) {
	was := z.p.space.store.CountLazy(false) // members are removed, no value is deleted
	defer z.p.space.store.CountLazy(was)
	old := z.obj
	if n == old.fields.count {
		clear(z.empty(typeZSetPack, packHeader))
		z.obj = nil
		return
	}
	z.obj = z.p.newZSet()
	keep := func(score float64, ref uint32) bool {
		member, _ := old.home.pair(ref)
		z.obj.set(member, score)
		return true
	}
	old.order.each(old.home, 0, rank, false, keep)
	old.order.each(old.home, rank+n, old.fields.count, false, keep)
	z.become(z.obj)
}

// Rank returns a member's rank and score.
func (z *ZSet) Rank(member []byte) (rank int, score float64, ok bool) {
	if score, ok = z.Score(member); !ok {
		return 0, 0, false
	}
	return z.Before(Border{border{score: score, member: member}}), score, true
}

// A Border is a place between members; see ScoreBorder and LexBorder.
type Border struct{ border }

// ScoreBorder lies before all members of a score, or behind them.
func ScoreBorder(score float64, behind bool) Border {
	return Border{border{score: score, whole: true, behind: behind}}
}

// LexBorder lies before a member, or behind it, by its bytes alone. It has a meaning where all scores are equal.
func LexBorder(member []byte, behind bool) Border {
	return Border{border{member: member, lex: true, behind: behind}}
}

// Before returns the number of members before a border.
func (z *ZSet) Before(k Border) int {
	z.check()
	if z.obj != nil {
		return z.obj.order.rank(z.obj.home, &k.border)
	}
	rank, _ := zpackBefore(z.bytes(), &k.border)
	return rank
}

// At returns the member of a rank, 0 <= rank < Len; it points into the store.
func (z *ZSet) At(rank int) (member []byte, score float64) {
	z.check()
	if z.obj != nil {
		_, ref := z.obj.order.at(z.obj.home, rank)
		return z.obj.home.scored(ref)
	}
	b := z.bytes()
	it := zpackRank(b, rank)
	return it.bytes(b), it.score
}

// Range calls fn for n members from a rank on, in order or down to the lowest, until it returns false. Members point
// into the store; fn must not write.
func (z *ZSet) Range(rank, n int, down bool, fn func(member []byte, score float64) bool) {
	z.check()
	if rank < 0 || rank >= z.Len() || n <= 0 {
		return
	}
	if o := z.obj; o != nil {
		o.order.each(o.home, rank, n, down, func(score float64, ref uint32) bool {
			b := o.home.slab.at(ref)
			s := shapeOf(b)
			return fn(o.home.keyBytes(b, s), score)
		})
		return
	}
	if down {
		z.rangeDown(rank, n, fn)
		return
	}
	b := z.bytes()
	for it := zpackRank(b, rank); fn(it.bytes(b), it.score) && n > 1 && it.end < len(b); n-- {
		it = zpackAt(b, it.end)
	}
}

// rangeDown is Range downwards over a pack, which can only be read upwards: it notes where items start.
func (z *ZSet) rangeDown(rank, n int, fn func(member []byte, score float64) bool) {
	var buf [128]int
	b, starts, at := z.bytes(), buf[:0], packHeader
	for i := 0; i <= rank; i++ {
		starts = append(starts, at)
		at = zpackAt(b, at).end
	}
	for ; rank >= 0 && n > 0; rank, n = rank-1, n-1 {
		if it := zpackAt(b, starts[rank]); !fn(it.bytes(b), it.score) {
			return
		}
	}
}

// Each calls fn for every member in order until it returns false.
func (z *ZSet) Each(fn func(member []byte, score float64) bool) { z.Range(0, z.Len(), false, fn) }

// Scan is ZSCAN: about count members from a cursor, and the next cursor, 0 at the end. A small set is returned whole.
func (z *ZSet) Scan(cursor uint64, count int, fn func(member []byte, score float64)) uint64 {
	z.check()
	if z.obj == nil {
		z.Each(func(m []byte, s float64) bool { fn(m, s); return true })
		return 0
	}
	return z.obj.scan(cursor, count, func(m, v []byte) { fn(m, scoreOf(v)) })
}

// Random returns a member, chosen by rnd with equal chances. The set must not be empty.
func (z *ZSet) Random(rnd uint64) (member []byte, score float64) {
	return z.At(int(splitmix(&rnd) % uint64(z.Len())))
}

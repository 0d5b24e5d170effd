package simtest

import "github.com/understudy-db/understudy/api/member"

// recordBox is a term record made durable.
type recordBox struct{ data []byte }

// ledger is the true content of a data set: one hash per entry, chained, so that equal hashes at an
// offset mean equal prefixes. Offsets are entries counted from 1.
type ledger struct{ sums []uint64 }

func (l ledger) end() int64 { return int64(len(l.sums)) }

func (l ledger) sum(offset int64) uint64 {
	if offset == 0 {
		return 0
	}
	return l.sums[offset-1]
}

func (l *ledger) append(id uint64) {
	h := l.sum(l.end())*0x9e3779b97f4a7c15 + id + 1
	h ^= h >> 29
	l.sums = append(l.sums, h)
}

// cut is a copy up to offset that nobody appends into.
func (l ledger) cut(offset int64) ledger { return ledger{l.sums[:offset:offset]} }

// contains tells whether the ledger has the entry with this sum at offset.
func (l ledger) contains(offset int64, sum uint64) bool {
	return offset <= l.end() && l.sum(offset) == sum
}

// common is the length of the common prefix.
func (l ledger) common(o ledger) int64 {
	lo, hi := int64(0), min(l.end(), o.end())
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if l.sum(mid) == o.sum(mid) {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// clone copies slices that a later append could share.
func cloneHistory(h member.History) member.History { return append(member.History(nil), h...) }

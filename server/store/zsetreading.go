package store

import (
	"bytes"
	"slices"
)

// ZSetReading gives a run of members of a big sorted set, in order, as it was at one instant, while writes go on. It
// copies nothing at its start: a write to what it has not given yet tells it. What left is given all the same, what came
// is passed over.
//
// Invariant: the members to come, at the instant of the beginning, are those of the set's present order behind the place,
// without added, and with gone.
type ZSetReading struct {
	o     *zsetObject
	space *space
	down  bool
	left  int
	at    scoredMember // the latest given, or the first to give
	fresh bool         // at is still to give
	last  scoredMember
	gone  []scoredMember      // in the order of the reading
	added map[string]struct{} // members
}

type scoredMember struct {
	score  float64
	member []byte
}

// Reading begins to read n members from a rank on, in order or down to the lowest; all of them must be there. It is nil
// for a small set. As CutKeys it may be called under a shared lock, by one caller at a time. End must follow.
func (z *ZSet) Reading(rank, n int, down bool) *ZSetReading {
	z.check()
	if z.obj == nil || n <= 0 {
		return nil
	}
	o := z.obj
	end := rank + n - 1
	if down {
		end = rank - n + 1
	}
	r := &ZSetReading{o: o, space: o.home.space, down: down, left: n, fresh: true, at: o.atRank(rank), last: o.atRank(end)}
	r.space.pins++
	o.pins++
	o.readings = append(o.readings, r)
	return r
}

// atRank copies the member of a rank.
func (o *zsetObject) atRank(rank int) scoredMember {
	score, ref := o.order.at(o.home, rank)
	member, _ := o.home.pair(ref)
	return scoredMember{score, bytes.Clone(member)}
}

// End gives up what the reading holds. It needs the exclusive lock.
func (r *ZSetReading) End() {
	o := r.o
	o.readings = slices.DeleteFunc(o.readings, func(other *ZSetReading) bool { return other == r })
	r.space.unpin()
	r.space.store.unpinned(o)
}

// Step gives about n members to fn and reports whether they were the last. It needs the shared lock.
func (r *ZSetReading) Step(n int, fn func(member []byte, score float64)) (done bool) {
	var place scoredMember
	given := func(m scoredMember) bool { // false: enough
		fn(m.member, m.score)
		r.left--
		n--
		place = m
		return n > 0 && r.left > 0
	}
	going := true
	o := r.o
	o.order.each(o.home, r.rank(), o.order.count, r.down, func(score float64, ref uint32) bool {
		member, _ := o.home.pair(ref)
		m := scoredMember{score, member}
		for going && len(r.gone) > 0 && r.compare(r.gone[0], m) < 0 {
			going = given(r.gone[0])
			r.gone = r.gone[1:]
		}
		if !going {
			return false
		}
		if _, is := r.added[string(member)]; is {
			n--
			place = m
			going = n > 0
			return going
		}
		going = given(m)
		return going
	})
	for going && r.left > 0 && len(r.gone) > 0 {
		going = given(r.gone[0])
		r.gone = r.gone[1:]
	}
	if place.member != nil {
		r.at, r.fresh = scoredMember{place.score, append([]byte{}, place.member...)}, false
	}
	return r.left == 0
}

// rank is that of the first member of the present order that is not behind the reading.
func (r *ZSetReading) rank() int {
	before := r.o.order.rank(r.o.home, &border{score: r.at.score, member: r.at.member, behind: r.fresh == r.down})
	if r.down {
		return before - 1
	}
	return before
}

// compare orders members as the reading gives them.
func (r *ZSetReading) compare(a, b scoredMember) int {
	c := bytes.Compare(a.member, b.member)
	switch {
	case a.score < b.score:
		c = -1
	case a.score > b.score:
		c = 1
	}
	if r.down {
		return -c
	}
	return c
}

// ahead tells whether a member's place is one that the reading has still to pass.
func (r *ZSetReading) ahead(m scoredMember) bool {
	c := r.compare(m, r.at)
	return (c > 0 || c == 0 && r.fresh) && r.compare(m, r.last) <= 0
}

// leaves tells the set's readings that a member is about to lose its place.
func (o *zsetObject) leaves(member []byte, score float64) {
	for _, r := range o.readings {
		m := scoredMember{score, member}
		if !r.ahead(m) {
			continue
		}
		if _, is := r.added[string(member)]; is {
			delete(r.added, string(member))
			continue
		}
		m.member = bytes.Clone(member)
		i, _ := slices.BinarySearchFunc(r.gone, m, r.compare)
		r.gone = slices.Insert(r.gone, i, m)
	}
}

// comes tells them that one is about to get a place.
func (o *zsetObject) comes(member []byte, score float64) {
	for _, r := range o.readings {
		m := scoredMember{score, member}
		if !r.ahead(m) {
			continue
		}
		if i, was := slices.BinarySearchFunc(r.gone, m, r.compare); was {
			r.gone = slices.Delete(r.gone, i, i+1)
			continue
		}
		if r.added == nil {
			r.added = map[string]struct{}{}
		}
		r.added[string(member)] = struct{}{}
	}
}

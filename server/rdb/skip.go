package rdb

import "fmt"

// skipValue passes over a whole value, of any type.
func (s *stringSource) skipValue(t Type) error {
	switch t {
	case TypeZset:
		return s.skipScores(s.skipOldDouble)
	case TypeZset2:
		return s.skipScores(func() error { return s.skip(8) })
	case TypeZsetZiplist, TypeZsetListpack:
		return s.skipString()
	case TypeString, TypeHashListpack, TypeHashZiplist, TypeHashZipmap:
		return s.skipString()
	case TypeHash:
		return s.skipCounted(2)
	case TypeHashTimesPackRC:
		return s.skipString()
	case TypeHashTimesPack:
		if err := s.skip(8); err != nil {
			return err
		}
		return s.skipString()
	case TypeHashTimes, TypeHashTimesRC:
		if t == TypeHashTimes {
			if err := s.skip(8); err != nil {
				return err
			}
		}
		n, err := s.plainLength()
		if err != nil {
			return err
		}
		return s.skipTimed(n)
	case TypeList, TypeSet, TypeListQuicklist:
		return s.skipCounted(1)
	case TypeListZiplist, TypeSetIntset, TypeSetListpack:
		return s.skipString()
	case TypeListQuicklist2:
		return s.skipEach(func() error {
			if _, err := s.plainLength(); err != nil {
				return err
			}
			return s.skipString()
		})
	case TypeModule2:
		return s.skipModule()
	case TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3:
		return s.skipStream(t)
	}
	return s.fail(fmt.Sprintf("a value of type %d (%s) cannot be skipped", t, t.Name()))
}

// skipScores skips a count and as many members, each with a score.
func (s *stringSource) skipScores(score func() error) error {
	return s.skipEach(func() error {
		if err := s.skipString(); err != nil {
			return err
		}
		return score()
	})
}

// skipEach reads a count and calls one for each item.
func (s *stringSource) skipEach(one func() error) error {
	n, err := s.plainLength()
	for ; n > 0 && err == nil; n-- {
		err = one()
	}
	return err
}

// skipCounted skips a count and as many groups of strings.
func (s *stringSource) skipCounted(group int) error {
	n, err := s.plainLength()
	if err != nil {
		return err
	}
	return s.skipStrings(n, group)
}

// skipTimed skips pairs with a time before each.
func (s *stringSource) skipTimed(n uint64) error {
	for ; n > 0; n-- {
		if _, err := s.plainLength(); err != nil {
			return err
		}
		if err := s.skipStrings(1, 2); err != nil {
			return err
		}
	}
	return nil
}

func (s *stringSource) skipStrings(n uint64, group int) error {
	for ; n > 0; n-- {
		for range group {
			if err := s.skipString(); err != nil {
				return err
			}
		}
	}
	return nil
}

// skipOldDouble: a length and that many characters; 253 to 255 stand for NaN and the infinities.
func (s *stringSource) skipOldDouble() error {
	c, err := s.byte()
	if err != nil || c >= 253 {
		return err
	}
	return s.skip(int64(c))
}

func (s *stringSource) skipLengths(n int) error {
	for range n {
		if _, err := s.plainLength(); err != nil {
			return err
		}
	}
	return nil
}

// skipModule: the module's id, then tagged items up to tag 0.
func (s *stringSource) skipModule() error {
	if err := s.skipLengths(1); err != nil {
		return err
	}
	for {
		tag, err := s.plainLength()
		if err != nil {
			return err
		}
		switch tag {
		case 0:
			return nil
		case 1, 2:
			err = s.skipLengths(1)
		case 3:
			err = s.skip(4)
		case 4:
			err = s.skip(8)
		case 5:
			err = s.skipString()
		default:
			err = s.fail(fmt.Sprintf("unknown item %d of a module's value", tag))
		}
		if err != nil {
			return err
		}
	}
}

func (s *stringSource) skipStream(t Type) error {
	if err := s.skipCounted(2); err != nil { // listpacks by their first id
		return err
	}
	counters := 3 // length, last id
	if t >= TypeStreamListpacks2 {
		counters += 5 // first id, greatest deleted id, entries ever added
	}
	if err := s.skipLengths(counters); err != nil {
		return err
	}
	return s.skipEach(func() error { return s.skipGroup(t) })
}

func (s *stringSource) skipGroup(t Type) error {
	if err := s.skipString(); err != nil {
		return err
	}
	counters := 2 // last delivered id
	if t >= TypeStreamListpacks2 {
		counters++ // entries read
	}
	if err := s.skipLengths(counters); err != nil {
		return err
	}
	err := s.skipEach(func() error { // pending: raw id, delivery time, deliveries
		if err := s.skip(16 + 8); err != nil {
			return err
		}
		return s.skipLengths(1)
	})
	if err != nil {
		return err
	}
	return s.skipEach(func() error { return s.skipConsumer(t) })
}

func (s *stringSource) skipConsumer(t Type) error {
	if err := s.skipString(); err != nil {
		return err
	}
	times := int64(8) // seen
	if t >= TypeStreamListpacks3 {
		times += 8 // active
	}
	if err := s.skip(times); err != nil {
		return err
	}
	return s.skipEach(func() error { return s.skip(16) })
}

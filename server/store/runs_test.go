package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Runs have what Each tells of, whatever the elements are and wherever one begins.
func TestRunsOfListsAreTheirElements(t *testing.T) {
	for _, size := range []int{1, 7, 40, 3000} {
		s := New(Options{Seed: 1, Partitions: 1})
		l, _ := s.DB(0).ListForWrite([]byte("list"))
		var list []string
		for i := range size {
			v := fmt.Sprint("element ", i)
			switch i % 7 {
			case 1:
				v = fmt.Sprint(i * i * i)
			case 3:
				v = ""
			case 4:
				v = strings.Repeat("x", 63+i%3)
			case 6:
				v = strings.Repeat("long ", 1+i*8%4000) // from 8 KiB on a blob
			}
			list = append(list, v)
			l.Push(false, []byte(v))
		}
		for _, pos := range []int{0, 1, 2, size / 3, size / 2, size - 2, size - 1} {
			if pos < 0 || pos >= size {
				continue
			}
			if got := runsOf(&l, pos); !slices.Equal(got, list[pos:]) {
				t.Fatalf("%d elements, from %d on: %d elements that are not those", size, pos, len(got))
			}
		}
		for _, pos := range []int{-1, size} {
			if got := runsOf(&l, pos); got != nil {
				t.Fatalf("%d elements, from %d on: there are %d", size, pos, len(got))
			}
		}
		audit(t, s)
	}
}

// runsOf takes every element either way.
func runsOf(l *List, pos int) (got []string) {
	l.EachRun(pos, func(r Run) bool {
		for {
			if text, ok := r.Text(); ok {
				got = append(got, string(text))
			} else if e, ok := r.Next(); ok {
				got = append(got, string(e.Append(nil)))
			} else {
				return true
			}
			if e, ok := r.Next(); ok { // short texts come this way too
				got = append(got, string(e.Append(nil)))
			}
		}
	})
	return got
}

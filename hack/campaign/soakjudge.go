package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// Until the data set has nearly the size that it will have, all grows with it: what comes before is not judged. Long values
	// take minutes to grow, and then long commands, which have goroutines of their own, are as frequent as they will be.
	soakGrown = 0.9
	// So many samples there must be afterwards.
	soakLeastSamples = 60
	// What a leak raises is the floor, what is there at the quieter times: this part of the samples lies below it. Whatever takes
	// memory or goroutines for a while (a full sync, a save, a long command) is above.
	soakFloor = 0.25
	// How much the floor of the second half may be above that of the first: of memory that is no data, in parts of the data, for
	// holes that the next values fill; and of goroutines, which are whole ones and few.
	soakBeside, soakFew = 0.10, 2
)

// samples are what was seen of a process, one element per sample.
type samples struct {
	resident []int64 // bytes
	used     []int64 // used_memory
	routines []int64
}

// table prints the samples.
func (s *samples) table(name string) string {
	var b strings.Builder
	for i := range s.resident {
		fmt.Fprintf(&b, "%s %d %d %d\n", name, s.resident[i], s.used[i], s.routines[i])
	}
	return b.String()
}

// grown is the first sample at which the data set has its size, about: that of the second half.
func (s *samples) grown() int {
	enough := int64(soakGrown * float64(part(s.used[len(s.used)/2:], 0.5)))
	return slices.IndexFunc(s.used, func(n int64) bool { return n >= enough })
}

// judge compares the halves of the time in which the data set has its size.
func (s *samples) judge(name string, r *report) error {
	if len(s.used) < 2 {
		return fmt.Errorf("%s: %d samples", name, len(s.used))
	}
	from := s.grown()
	n := len(s.used) - from
	r.fact(name+": samples, those after the data set has grown", fmt.Sprintf("%d, %d", len(s.used), n), fmt.Sprintf(">= %d", soakLeastSamples))
	if n < soakLeastSamples {
		return fmt.Errorf("%s: only %d samples after the data set has grown, %d are needed: it must run for longer", name, n, soakLeastSamples)
	}
	beside := make([]int64, len(s.used))
	for i := range beside {
		beside[i] = s.resident[i] - s.used[i]
	}
	half := from + n/2
	data := part(s.used[from:half], 0.5)
	var failed []error
	if data < soakLeast {
		failed = append(failed, fmt.Errorf("%s: %d MiB of data are too thin a load to prove anything", name, data>>20))
	}
	r.fact(name+": used memory, MiB, median of the first and of the second half, largest",
		fmt.Sprintf("%d, %d, %d", data>>20, part(s.used[half:], 0.5)>>20, slices.Max(s.used)>>20), fmt.Sprintf("at least %d in the first half", soakLeast>>20))
	for _, f := range []struct {
		what   string
		values []int64
		unit   int64
		more   int64
	}{
		{"resident memory beside the data, MiB", beside, 1 << 20, int64(soakBeside * float64(data))},
		{"goroutines", s.routines, 1, soakFew},
	} {
		first, second := part(f.values[from:half], soakFloor), part(f.values[half:], soakFloor)
		if second > first+f.more {
			failed = append(failed, fmt.Errorf("%s: the floor of %s went from %d to %d", name, f.what, first/f.unit, second/f.unit))
		}
		r.fact(name+": "+f.what+", floor of the first and of the second half, largest",
			fmt.Sprintf("%d, %d, %d", first/f.unit, second/f.unit, slices.Max(f.values[from:])/f.unit), fmt.Sprintf("<= %d more", f.more/f.unit))
	}
	return errors.Join(failed...)
}

// part is the value below which a part of them lies.
func part(values []int64, p float64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(p*float64(len(sorted)))]
}

package ticks

import (
	"testing"
	"time"
)

// counter is a system's clock and a processor's counter that can be moved.
type counter struct {
	c     Clock
	now   time.Duration
	ticks uint64
	per   float64 // ticks of a nanosecond
}

func (s *counter) pass(d time.Duration) {
	s.now += d
	s.ticks += uint64(float64(d) * s.per)
}

// set reads the system's clock, which takes some ticks.
func (s *counter) set(takes time.Duration) {
	before := s.ticks
	s.pass(takes)
	s.c.set(before, s.ticks, s.now)
}

func (s *counter) since() (time.Duration, bool) { return s.c.since(s.ticks) }

// learned is a counter whose rate is known.
func learned(t *testing.T, per float64) *counter {
	t.Helper()
	s := &counter{now: time.Hour, ticks: 1 << 40, per: per}
	s.set(50)
	if s.pass(5 * time.Millisecond); s.c.most != 0 {
		t.Fatal("it answers before it knows the rate")
	}
	s.set(50)
	if s.pass(5 * time.Millisecond); s.c.most != 0 {
		t.Fatal("it answers after half of the first span")
	}
	s.set(50)
	if s.c.most == 0 {
		t.Fatal("it does not know the rate after the first span")
	}
	return s
}

func near(got, want time.Duration) bool {
	apart := max(got-want, want-got)
	return apart <= want/1000+1
}

func TestSpans(t *testing.T) {
	for _, per := range []float64{0.024, 0.1, 1, 2.6, 5} {
		s := learned(t, per)
		for _, d := range []time.Duration{0, 100, 1000, 250 * time.Microsecond, 990 * time.Microsecond} {
			s.set(50)
			s.pass(d)
			tick := time.Duration(1 / per)
			if got, ok := s.since(); !ok || !near(got, d) && max(got-d, d-got) > tick {
				t.Errorf("%v ticks of a nanosecond: %v after %v (%v)", per, got, d, ok)
			}
		}
		s.pass(20 * time.Microsecond)
		if _, ok := s.since(); ok {
			t.Errorf("%v ticks of a nanosecond: a span of more than %v is told", per, longest)
		}
	}
}

func TestCounterThatWentBack(t *testing.T) {
	s := learned(t, 2.6)
	s.set(50)
	s.ticks -= 1000
	if d, ok := s.since(); ok {
		t.Errorf("it tells %v", d)
	}
}

// TestInterrupted: a reading of the system's clock that took long says nothing of the rate.
func TestInterrupted(t *testing.T) {
	s := learned(t, 2.6)
	rate := s.c.rate
	s.pass(2 * time.Second)
	s.set(30 * time.Millisecond)
	if s.c.rate != rate {
		t.Errorf("the rate went from %d to %d", rate, s.c.rate)
	}
	s.set(50)
	if s.c.most == 0 || max(s.c.rate, rate)-min(s.c.rate, rate) > rate/1000 {
		t.Errorf("the rate went from %d to %d", rate, s.c.rate)
	}
}

// TestMoved: the machine goes on elsewhere, where the counter runs otherwise.
func TestMoved(t *testing.T) {
	for _, per := range []float64{1.9, 3.5} {
		s := learned(t, 2.6)
		s.per = per
		s.pass(2 * time.Second)
		s.set(50)
		if d, ok := s.since(); ok {
			t.Errorf("%v ticks: it tells %v of what two rates cannot both say", per, d)
		}
		s.pass(20 * time.Millisecond)
		s.set(50)
		s.pass(time.Microsecond)
		if d, ok := s.since(); !ok || !near(d, time.Microsecond) {
			t.Errorf("%v ticks: %v after a microsecond (%v)", per, d, ok)
		}
	}
}

func TestSteady(t *testing.T) {
	const good = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu tsc constant_tsc rep_good nonstop_tsc\nbogomips\t: 5200\n\nprocessor\t: 1\n"
	for _, x := range []struct {
		arch, source, info string
		want               bool
	}{
		{"amd64", "tsc\n", "", true},
		{"amd64", "kvm-clock\n", good, true},
		{"amd64", "kvm-clock\n", "flags\t\t: fpu tsc constant_tsc\n", false},
		{"amd64", "hpet\n", good, false},
		{"amd64", "acpi_pm\n", good, false},
		{"arm64", "arch_sys_counter\n", "", true},
		{"arm64", "timer\n", "", false},
		{"riscv64", "tsc\n", good, false},
	} {
		if got := steady(x.arch, x.source, x.info); got != x.want {
			t.Errorf("steady(%s, %q, %q) = %v", x.arch, x.source, x.info, got)
		}
	}
}

// TestHere holds the counter of this machine against its clock.
func TestHere(t *testing.T) {
	if !Steady() {
		t.Log("the counter of this machine is not known to be steady: the system's clock is read")
		if _, ok := new(Clock).Since(); ok {
			t.Fatal("a clock without a counter answers")
		}
		return
	}
	c, start := New(), time.Now()
	good := 0
	for range 500 {
		before := c.Begin()
		from := time.Since(start)
		c.Set(before, from)
		time.Sleep(20 * time.Microsecond)
		d, ok := c.Since()
		to := time.Since(start) - from
		if !ok {
			continue
		}
		if good++; d > to+to/50+time.Microsecond {
			t.Fatalf("the counter says %v of a span of at most %v", d, to)
		}
	}
	if good == 0 && c.most == 0 {
		t.Fatal("no rate was learned")
	}
}

package diff

import (
	"strconv"
	"strings"
)

// The two sides read their clocks one after the other, so a conversation must not ask which of two moments comes first
// when they may lie so near. Hence three kinds of times, no two of which meet during one conversation:
//
//	absolute     3600 to 4600 s after the start, equal on both sides
//	relative     n * apart from a command on, each n drawn once: two of them are never compared within a tie
//	far          the same, as far away as the numbers go
//
// besides those that are over, or wrong, whenever they are read.
const (
	apart    = 10_000 // seconds, and far more than a conversation takes
	farAhead = 9_000_000_000_000_000_000
	relTimes = 1 << 20 // numbers that n can have
)

// relative draws a time that counts from now on.
func (g *Gen) relative(name string) string {
	seconds := strings.HasSuffix(name, "seconds") && !strings.Contains(name, "milli")
	if g.chance(25) {
		odd := []string{"9223372036854775807", "0", "-1", "x", "-9223372036854775808"}
		if seconds {
			odd = append(odd, "9223372036854775") // one of milliseconds would be a time of its own, given twice
		}
		return pick(g, odd)
	}
	g.relStep += g.relStride
	at := (1 + g.relStep%relTimes) * apart
	switch {
	case seconds:
		return strconv.FormatInt(at, 10)
	case g.chance(10):
		return strconv.FormatInt(farAhead-at*1000, 10)
	}
	return strconv.FormatInt(at*1000, 10)
}

// time draws a point in time.
func (g *Gen) time(name string) string {
	at := g.now + int64(g.r.IntN(1_000_000)) + 3_600_000
	if strings.Contains(name, "seconds") && !strings.Contains(name, "milli") {
		at /= 1000
	}
	if g.chance(15) {
		odd := []string{"0", "-1", "9223372036854775807", "9223372036854775", "x", "1", "1000000000"}
		if g.current.FullName == "set" {
			odd = odd[:5] // a key born expired goes with the next read there, with the next write here
		}
		return pick(g, odd)
	}
	return strconv.FormatInt(at, 10)
}

// idle is an idle time that an entry has reached, or not, whenever a command runs.
func (g *Gen) idle() string {
	return pick(g, []string{"0", "0", "0", "-5", "1000000000", "9223372036854775807", "x"})
}

// timed commands take a time, in whose place a number of noise would be over at different commands.
var timed = map[string]bool{"set": true, "setex": true, "psetex": true, "getex": true, "expire": true, "pexpire": true, "expireat": true, "pexpireat": true,
	"restore": true, "restore-asking": true, "xclaim": true, "xautoclaim": true, "xpending": true}

// noiseFor is noise in the place of any word of a command.
func (g *Gen) noiseFor(name string) string {
	w := g.noise()
	for timed[name] && isNumber(w) {
		w = g.noise()
	}
	return w
}

func isNumber(w string) bool {
	_, err := strconv.ParseInt(strings.TrimSpace(w), 10, 64)
	return err == nil
}

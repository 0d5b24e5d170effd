package diff

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/resp"
)

// Same compares two replies to the same command.
func Same(args []string, a, b resp.Value) bool {
	withoutActivity(&a)
	withoutActivity(&b)
	name := strings.ToLower(args[0])
	switch name {
	case "keys", "hkeys", "hvals", "smembers", "sinter", "sunion", "sdiff":
		sortElems(a.Elems, 1)
		sortElems(b.Elems, 1)
	case "hgetall":
		sortElems(a.Elems, 2)
		sortElems(b.Elems, 2)
	case "object":
		if len(args) > 1 && strings.EqualFold(args[1], "idletime") && a.Kind == ':' && b.Kind == ':' {
			return near(1000*a.Int, 1000*b.Int)
		}
	case "ttl", "pttl", "expiretime", "pexpiretime":
		if a.Kind == ':' && b.Kind == ':' && a.Int > 0 && b.Int > 0 {
			return near(a.Int, b.Int)
		}
	}
	if strings.HasPrefix(name, "x") {
		moments(&a, &b)
	}
	return equal(&a, &b)
}

func equal(a, b *resp.Value) bool {
	if a.Kind != b.Kind || a.Null != b.Null || a.Int != b.Int || a.Float != b.Float || !bytes.Equal(a.Str, b.Str) || len(a.Elems) != len(b.Elems) {
		return false
	}
	for i := range a.Elems {
		if !equal(&a.Elems[i], &b.Elems[i]) {
			return false
		}
	}
	return true
}

// sortElems orders groups of `width` elements by their text.
func sortElems(v []resp.Value, width int) {
	groups := slices.Collect(slices.Chunk(slices.Clone(v), width))
	text := func(g []resp.Value) string {
		var s strings.Builder
		for _, e := range g {
			s.WriteString(e.String())
		}
		return s.String()
	}
	slices.SortFunc(groups, func(x, y []resp.Value) int { return strings.Compare(text(x), text(y)) })
	copy(v, slices.Concat(groups...))
}

// Doer executes commands: one side of a comparison.
type Doer interface {
	Do(args ...string) resp.Value
}

// State prints the data set of one side, one line per key in a fixed order, times rounded away.
func State(d Doer, databases int) []string {
	var lines []string
	for db := range databases {
		n := strconv.Itoa(db)
		d.Do("SELECT", n)
		for _, k := range d.Do("KEYS", "*").Elems {
			lines = append(lines, keyLine(d, n, string(k.Str)))
		}
	}
	d.Do("SELECT", "0")
	slices.Sort(lines)
	return lines
}

func keyLine(d Doer, db, key string) string {
	kind := string(d.Do("TYPE", key).Str)
	var value resp.Value
	switch kind {
	case "string":
		value = d.Do("GET", key)
	case "hash":
		value = d.Do("HGETALL", key)
		sortElems(value.Elems, 2)
	case "stream":
		value = d.Do("XINFO", "STREAM", key, "FULL", "COUNT", "0")
		if key == clockKey { // its IDs shape the tree
			value = d.Do("XRANGE", key, "-", "+")
		}
		withoutActivity(&value)
		timesOff(&value)
		withoutClockIDs(&value)
	case "list":
		value = d.Do("LRANGE", key, "0", "-1")
	case "zset":
		value = d.Do("ZRANGE", key, "0", "-1", "WITHSCORES")
	case "set":
		value = d.Do("SMEMBERS", key)
		sortElems(value.Elems, 1)
	}
	encoding := string(d.Do("OBJECT", "ENCODING", key).Str)
	expires := "stays"
	if at := d.Do("PEXPIRETIME", key).Int; at > 0 {
		expires = "expires"
	}
	return fmt.Sprintf("%s %q %s %s %s %s", db, key, kind, encoding, expires, value)
}

// SameEffect compares two commands of the replication stream; times and IDs of the clock may differ a little.
func SameEffect(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == b[i] || i == 0 && strings.EqualFold(a[i], b[i]) || nearIDs(a[i], b[i]) {
			continue
		}
		timed := strings.EqualFold(a[0], "PEXPIREAT") && i == 2 || i == 4 && strings.EqualFold(a[3], "PXAT") ||
			i == 7 && strings.EqualFold(a[0], "XCLAIM") || i == 2 && strings.HasPrefix(strings.ToLower(a[0]), "restore")
		x, errX := strconv.ParseInt(a[i], 10, 64)
		y, errY := strconv.ParseInt(b[i], 10, 64)
		if !timed || errX != nil || errY != nil || !near(x, y) {
			return false
		}
	}
	return true
}

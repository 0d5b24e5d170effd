package diff

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// dumpCase is a value of each type and encoding, at and beside the thresholds.
type dumpCase struct {
	name string
	make [][]string
}

func dumpCases() []dumpCase {
	cases := []dumpCase{}
	for _, v := range []string{"", "0", "-1", "127", "128", "-129", "32768", "2147483647", "-2147483649", "9223372036854775807",
		"12345678901234567890", "007", "text", strings.Repeat("x", 20), strings.Repeat("ab", 44), strings.Repeat("z", 16384), strings.Repeat("0123456789", 30000)} {
		cases = append(cases, dumpCase{"string " + v[:min(20, len(v))] + strconv.Itoa(len(v)), [][]string{{"SET", "k", v}}})
	}
	for _, n := range []int{1, 2, 127, 128, 129, 511, 512, 513, 1000} {
		for _, size := range []int{0, 1, 64, 65, 300} {
			cases = append(cases, collection(n, size)...)
		}
	}
	for _, n := range []int{1 << 12, 8191, 8192, 8193, 70000, 300000} {
		cases = append(cases, dumpCase{fmt.Sprint("list with an element of ", n), [][]string{{"RPUSH", "k", "a", strings.Repeat("e", n), "b"}}},
			dumpCase{fmt.Sprint("hash with a value of ", n), [][]string{{"HSET", "k", "f", strings.Repeat("e", n)}}})
	}
	return append(cases,
		dumpCase{"intset 16", [][]string{{"SADD", "k", "1", "-5", "32767"}}},
		dumpCase{"intset 32", [][]string{{"SADD", "k", "1", "-5", "32768"}}},
		dumpCase{"intset 64", [][]string{{"SADD", "k", "1", "-5", "9223372036854775807", "-9223372036854775808"}}},
		dumpCase{"scores", [][]string{{"ZADD", "k", "inf", "a", "-inf", "b", "0.1", "c", "-0", "d", "1e300", "e", "4503599627370496", "f"}}},
		dumpCase{"empty stream", [][]string{{"XADD", "k", "1-1", "f", "v"}, {"XDEL", "k", "1-1"}}},
		dumpCase{"groups", [][]string{{"XADD", "k", "1-1", "f", "v"}, {"XADD", "k", "1-2", "f", "v", "g", "w"}, {"XADD", "k", "5-0", "x", "1"},
			{"XGROUP", "CREATE", "k", "g", "0"}, {"XGROUP", "CREATE", "k", "h", "$"}, {"XGROUP", "CREATECONSUMER", "k", "h", "idle"},
			{"XREADGROUP", "GROUP", "g", "alice", "COUNT", "2", "STREAMS", "k", ">"}, {"XREADGROUP", "GROUP", "g", "bob", "STREAMS", "k", ">"},
			{"XACK", "k", "g", "1-1"}, {"XDEL", "k", "1-2"}}})
}

func collection(n, size int) []dumpCase {
	list, set, hash, zset := []string{"RPUSH", "k"}, []string{"SADD", "k"}, []string{"HSET", "k"}, []string{"ZADD", "k"}
	ints := []string{"SADD", "k"}
	stream := dumpCase{name: fmt.Sprintf("stream of %d with %d", n, size)}
	for i := range n {
		e := strconv.Itoa(i)
		if pad := size - len(e); size > 1 && pad > 0 {
			e += strings.Repeat("v", pad)
		}
		list, set, ints = append(list, e), append(set, "m"+e), append(ints, strconv.Itoa(i*i*i))
		hash, zset = append(hash, "f"+strconv.Itoa(i), e), append(zset, strconv.FormatFloat(float64(i)/4, 'g', -1, 64), e)
		if size != 1 {
			stream.make = append(stream.make, []string{"XADD", "k", fmt.Sprint(i+1, "-", i), "field", e, "f" + strconv.Itoa(i%3), "v"})
		}
	}
	name := fmt.Sprintf(" of %d with %d", n, size)
	cases := []dumpCase{{"list" + name, [][]string{list}}, {"set" + name, [][]string{set}}, {"hash" + name, [][]string{hash}}, {"zset" + name, [][]string{zset}},
		{"ints" + name, [][]string{ints}}}
	if stream.make != nil {
		cases = append(cases, stream)
	}
	return cases
}

// TestDumpGoesBothWays: what ours dumps redis-server restores to an equal value, and the other way round, and the copy has
// the encoding that the value has there.
func TestDumpGoesBothWays(t *testing.T) { bothWays(t, 0) }

// TestLongDumpGoesBothWays is the same where all that can goes on after its handler.
func TestLongDumpGoesBothWays(t *testing.T) {
	ours := bothWays(t, 1)
	for _, name := range []string{"dump", "restore"} {
		if n := ours.Long[name]; n < 50 {
			t.Errorf("%s went on after its handler %d times", name, n)
		}
	}
}

func bothWays(t *testing.T, longFrom int) (ours *Direct) {
	ours = NewDirect()
	ours.Ctx.Conf.LongFrom = longFrom
	real := oracle.Start(t, "--save", "", "--enable-debug-command", "yes")
	ours.Ctx.Store.Config.HashMaxListpackEntries = 512 // as redis-server's default
	for _, c := range dumpCases() {
		real.Do("FLUSHALL")
		ours.Do("FLUSHALL")
		for _, cmd := range c.make {
			real.Do(cmd...)
			if v := ours.Do(cmd...); v.IsError() {
				t.Fatalf("%s: %q: %s", c.name, cmd, v)
			}
		}
		if v := real.Do("RESTORE", "o", "0", string(ours.Do("DUMP", "k").Str)); v.String() != "OK" {
			t.Errorf("%s: redis-server takes our dump with %s", c.name, v)
		}
		if v := ours.Do("RESTORE", "r", "0", string(real.Do("DUMP", "k").Str)); v.String() != "OK" {
			t.Errorf("%s: we take redis-server's dump with %s", c.name, v)
		}
		if v := real.Do("RESTORE", "back", "0", string(ours.Do("DUMP", "r").Str)); v.String() != "OK" {
			t.Errorf("%s: redis-server takes back what it dumped with %s", c.name, v)
		}
		d := real.Do("DEBUG", "DIGEST-VALUE", "k", "o", "back").Elems
		if c.name == "groups" { // consumers of the two servers were seen at different times, which digests do not tell
			d = d[:2]
		}
		for i := range d {
			if string(d[i].Str) != string(d[0].Str) {
				t.Errorf("%s: digests of the value, of our dump and of what came back: %v", c.name, d)
			}
		}
		for _, pair := range [][2]string{{real.Do("OBJECT", "ENCODING", "k").String(), ours.Do("OBJECT", "ENCODING", "r").String()},
			{real.Do("OBJECT", "ENCODING", "k").String(), real.Do("OBJECT", "ENCODING", "o").String()}} {
			if pair[0] != pair[1] {
				t.Errorf("%s: encoding %s, of the copy %s", c.name, pair[0], pair[1])
			}
		}
	}
	return ours
}

// TestRestoreAnswersAsRedis compares the refusals, the options, the effects and the events.
func TestRestoreAnswersAsRedis(t *testing.T) {
	for _, longFrom := range []int{0, 1} {
		restoreAnswers(t, longFrom)
	}
}

func restoreAnswers(t *testing.T, longFrom int) {
	ours := NewDirect()
	ours.Ctx.Conf.LongFrom = longFrom
	real := oracle.Start(t, "--save", "")
	good := string(ours.dump("SET", "v", "hello"))
	newer := strings.Replace(good, "\x0a\x00", "\x0b\x01", 1)
	many, twice, short := manyMembers(600, 600), manyMembers(599, 600), manyMembers(600, 601)
	for _, args := range [][]string{
		{"k", "0", many}, {"k", "0", many}, {"k", "0", twice, "REPLACE"}, {"k", "0", short, "REPLACE"}, {"k", "0", many[:5000], "REPLACE"}, {"k", "0", many + "x", "REPLACE"},
		{"k", "100000000", many, "REPLACE"}, {"k", "99999999999999", many, "REPLACE", "ABSTTL"}, {"k", "1", many, "ABSTTL", "REPLACE"}, {"k", "1", many, "ABSTTL"}, {"k", "0", many}, {"k", "0", twice}, {"k", "0", many, "REPLACE", "FREQ", "9", "x"},
		{"k", "0", good}, {"k", "0", good}, {"k", "0", good, "REPLACE"}, {"k", "0", good, "bogus"}, {"k", "x", good, "REPLACE"}, {"k", "-1", good, "REPLACE"},
		{"k", "0", "", "REPLACE"}, {"k", "0", "short", "REPLACE"}, {"k", "0", newer, "REPLACE"}, {"k", "0", good + "x", "REPLACE"}, {"k", "0", "x" + good, "REPLACE"},
		{"k", "0", good, "REPLACE", "IDLETIME"}, {"k", "0", good, "REPLACE", "IDLETIME", "x"}, {"k", "0", good, "REPLACE", "IDLETIME", "-1"}, {"k", "0", good, "REPLACE", "IDLETIME", "77"},
		{"k", "0", good, "REPLACE", "FREQ", "256"}, {"k", "0", good, "REPLACE", "FREQ", "-1"}, {"k", "0", good, "REPLACE", "FREQ", "9"}, {"k", "0", good, "REPLACE", "FREQ", "9", "IDLETIME", "1"},
		{"k", "0", good, "REPLACE", "IDLETIME", "1", "FREQ", "9"}, {"k", "100000000", good, "REPLACE"}, {"k", "99999999999999", good, "REPLACE", "ABSTTL"},
		{"k", "1", good, "ABSTTL", "REPLACE"}, {"k", "1", good, "ABSTTL"}, {"k", "0", good, "ABSTTL"}, {"other", "1", good, "ABSTTL", "REPLACE"}, {"k", "9223372036854775807", good, "REPLACE"},
	} {
		cmd := append([]string{"RESTORE"}, args...)
		if w, g := real.Do(cmd...), ours.Do(cmd...); w.String() != g.String() {
			t.Errorf("%q: redis-server %s, ours %s", cmd, w, g)
		}
		for _, look := range [][]string{{"GET", "k"}, {"SCARD", "k"}, {"EXISTS", "k", "other"}, {"DUMP", "nothing"}} {
			if w, g := real.Do(look...), ours.Do(look...); w.String() != g.String() {
				t.Errorf("%q after %q: redis-server %s, ours %s", look, cmd, w, g)
			}
		}
		if w, g := real.Do("PTTL", "k").Int, ours.Do("PTTL", "k").Int; w-g > 5000 || g-w > 5000 {
			t.Errorf("after %q a key has %d ms left at redis-server, %d at ours", cmd, w, g)
		}
	}
	ours.Do("FLUSHALL")
	ours.Effects, ours.Events = nil, nil
	for _, payload := range []string{good, many} {
		ours.Do("RESTORE", "k", "1000", payload, "REPLACE")
		if e := ours.Effects; len(e) == 0 || !slices.Equal(e[len(e)-1][:2], []string{"restore", "k"}) || e[len(e)-1][2] == "1000" || e[len(e)-1][5] != "ABSTTL" {
			t.Errorf("the effects of a RESTORE with a TTL are %.100q", e)
		}
	}
}

// manyMembers is a dump of a set of 600 members at most, so many of which differ: one is there twice when it claims more than
// that, and it ends early when it claims more than 600.
func manyMembers(different, claimed int) string {
	p := rdb.AppendLen([]byte{byte(rdb.TypeSet)}, uint64(claimed))
	for i := range min(claimed, 600) {
		p = rdb.AppendString(p, fmt.Append(nil, "member ", i%different), false)
	}
	return string(rdb.AppendFooter(p, 0))
}

// dump is what DUMP says of a value that a command makes at a key.
func (d *Direct) dump(cmd, key string, args ...string) []byte {
	d.Do(append([]string{cmd, key}, args...)...)
	p := slices.Clone(d.Do("DUMP", key).Str)
	d.Do("DEL", key)
	return p
}

// TestDigests compares digests of data with big values, which go in pieces, and in a transaction in one.
func TestDigests(t *testing.T) {
	real := oracle.Start(t, "--save", "", "--enable-debug-command", "yes")
	ours := servertest.Start(t)
	for _, side := range []Doer{real, ours} {
		for _, db := range []string{"2", "0"} {
			side.Do("SELECT", db)
			for i := range 1000 {
				name, n := fmt.Sprint("name:", i), fmt.Sprint(i)
				for _, args := range [][]string{
					{"RPUSH", "list", name, n}, {"HSET", "hash", name, n}, {"SADD", "set", name}, {"SADD", "ints", n}, {"ZADD", "zset", n + ".25", name}, {"XADD", "stream", n + "-1", "field", n, name, "x"}, {"SET", name, n},
				} {
					side.Do(args...)
				}
			}
			side.Do("XDEL", "stream", "500-1", "501-1", "999-1")
			side.Do("PEXPIREAT", "hash", "99999999999999")
			side.Do("PEXPIREAT", "name:5", "99999999999999")
		}
	}
	want := real.Do("DEBUG", "DIGEST").String()
	if got := ours.Do("DEBUG", "DIGEST").String(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if begun, _ := ours.Engine.LongReads(); begun == 0 {
		t.Error("the digest was made in one hold")
	}
	ours.Do("MULTI")
	ours.Do("DEBUG", "DIGEST")
	if got := ours.Do("EXEC").Elems[0].String(); got != want {
		t.Errorf("digest in a transaction %s, want %s", got, want)
	}
}

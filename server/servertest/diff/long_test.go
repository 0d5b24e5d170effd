package diff

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// startLong is a pair whose commands go on after their handlers for next to nothing.
func startLong(t *testing.T) (*Direct, *oracle.Server) {
	ours := NewDirect()
	ours.Ctx.Conf.LongFrom = 1
	c := &ours.Ctx.Store.Config
	c.HashMaxListpackEntries, c.ZSetMaxListpackEntries, c.SetMaxIntsetEntries = 1, 1, 1
	real := oracle.Start(t, append([]string{"--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no",
		"--hash-max-listpack-entries", "1", "--zset-max-listpack-entries", "1", "--set-max-intset-entries", "1"}, unshared...)...)
	return ours, real
}

// TestRandomCommandsLong is TestRandomCommands where even small reads take the way of long ones. Who goes on is left to
// chance but for the commonest: TestLongReplies and TestLongCuts ask each of them.
func TestRandomCommandsLong(t *testing.T) {
	s := *seed + 1
	t.Logf("seed %d", s)
	ours, real := startLong(t)
	compareRandom(t, s, *commands, ours, real)
	for _, name := range []string{"keys", "hgetall", "restore", "lcs"} {
		if ours.Long[name] == 0 {
			t.Errorf("seed %d: %s never went on after its handler", s, name)
		}
	}
}

// TestLongReplies compares whole and partial reads of values with a few thousand elements.
func TestLongReplies(t *testing.T) {
	ours, real := startLong(t)
	sides := []Doer{real, ours}
	const n, few = 3000, 400
	ofMany := func(kind, last string, words ...string) []string { // more of them than there are, and one twice
		for i := range few + 5 {
			words = append(words, kind+":"+strconv.Itoa(i))
		}
		return append(words, last)
	}
	manyKeys := strconv.Itoa(few + 6)
	for _, d := range sides {
		for i := range n {
			name := "member:" + strconv.Itoa(i*7919%n)
			d.Do("HSET", "hash", name, fmt.Sprint("value ", i))
			d.Do("SADD", "set", name)
			d.Do("SADD", "set2", "member:"+strconv.Itoa(i*2))
			d.Do("RPUSH", "list", strconv.Itoa(i), name)
			d.Do("SADD", "numbers", strconv.Itoa(i*31%n))
			d.Do("ZADD", "zset", strconv.Itoa(i%100), name)
			d.Do("ZADD", "zset2", strconv.Itoa(i%90), "member:"+strconv.Itoa(i*2))
			d.Do("XADD", "stream", strconv.Itoa(i+1), "field", name)
			d.Do("XADD", "stream2", strconv.Itoa(i+1), "f", "v")
			d.Do("SET", "weight:"+strconv.Itoa(i), strconv.Itoa(i*17%n))
			d.Do("HSET", "object:"+strconv.Itoa(i), "f", name, "name", name)
			d.Do("GEOADD", "places", fmt.Sprint(float64(i%173)*2-172), fmt.Sprint(float64(i%167)-83), name)
		}
		for i := range few {
			d.Do("SADD", "set:"+strconv.Itoa(i), strconv.Itoa(i), strconv.Itoa(i+7), "member:"+strconv.Itoa(i%40))
			d.Do("ZADD", "zset:"+strconv.Itoa(i), strconv.Itoa(i%9), "member:"+strconv.Itoa(i%40), "1", "a")
		}
		d.Do("SADD", "small", "member:4", "x", "y")
		d.Do("SET", "text", strings.Repeat("abcdefgh", 40))
		d.Do("SET", "text2", strings.Repeat("hdcbag", 50))
		d.Do("HSET", "one", "field", "value")
		d.Do("ZADD", "one:z", "2.5", "member")
		d.Do("SADD", "one:s", "member")
		d.Do("RPUSH", "list", string(make([]byte, 50_000)), "tail")
		d.Do("HSET", "hash", "big", string(make([]byte, 50_000)))
	}
	for _, args := range [][]string{
		{"KEYS", "*"}, {"KEYS", "*s*t"}, {"KEYS", "nothing*"},
		{"HGETALL", "hash"}, {"HKEYS", "hash"}, {"HVALS", "hash"}, {"SMEMBERS", "set"},
		{"LRANGE", "list", "0", "-1"}, {"LRANGE", "list", "2500", "5500"}, {"LRANGE", "list", "-4", "-1"}, {"LRANGE", "list", "-2", "-2"},
		{"ZRANGE", "zset", "0", "-1", "WITHSCORES"}, {"ZRANGE", "zset", "100", "2100"}, {"ZREVRANGE", "zset", "100", "2100", "WITHSCORES"},
		{"ZRANGEBYSCORE", "zset", "(10", "50", "WITHSCORES", "LIMIT", "7", "900"}, {"ZRANGE", "zset", "80", "20", "BYSCORE", "REV"}, {"ZREVRANGE", "zset", "2999", "2999"},
		{"SORT", "list", "ALPHA", "LIMIT", "10", "400"}, {"SORT_RO", "zset", "ALPHA", "DESC"}, {"SORT", "set", "ALPHA"}, {"SORT", "list"}, {"SORT_RO", "numbers", "DESC"},
		{"SORT", "list", "BY", "member*", "GET", "#", "GET", "hash->*", "LIMIT", "5", "90"}, {"SORT_RO", "numbers", "BY", "weight:*", "GET", "#", "GET", "object:*->f", "GET", "weight:*"},
		{"SORT", "numbers", "BY", "object:*->name", "ALPHA", "DESC"}, {"SORT", "list", "BY", "nosort", "GET", "weight:*", "GET", "#", "DESC", "LIMIT", "7", "2000"}, {"SORT", "numbers", "GET", "weight:*"},
		{"SORT", "zset", "BY", "nosort", "GET", "object:*->f", "GET", "#"}, {"SORT", "zset", "BY", "nosort", "DESC", "LIMIT", "100", "2000"}, {"SORT_RO", "zset", "BY", "nosort", "GET", "#", "LIMIT", "2990", "100"},
		{"SORT", "list", "ALPHA", "STORE", "to"}, {"SORT", "numbers", "LIMIT", "3", "2500", "DESC", "STORE", "to2"}, {"SORT", "zset", "ALPHA", "LIMIT", "9000", "1", "STORE", "to"}, {"SORT", "list", "STORE", "to"}, {"SORT", "set2", "ALPHA", "STORE", "set2"},
		{"SUNIONSTORE", "set2", "set", "numbers"},
		{"SORT", "numbers", "BY", "weight:*", "STORE", "to"}, {"SORT", "numbers", "BY", "object:*->name", "ALPHA", "DESC", "LIMIT", "10", "2500", "GET", "#", "GET", "weight:*", "GET", "nothing:*", "STORE", "to2"}, {"SORT", "list", "BY", "nosort", "GET", "object:*->f", "DESC", "STORE", "to"},
		{"SORT", "zset", "BY", "nosort", "GET", "#", "LIMIT", "100", "2000", "DESC", "STORE", "to2"}, {"SORT", "set", "BY", "nosort", "GET", "hash->*", "STORE", "to"}, {"SORT", "list", "BY", "object:*->name", "STORE", "to"}, {"SORT", "numbers", "GET", "object:*->", "STORE", "to2"},
		{"SORT", "numbers", "BY", "object:*->name", "GET", "#"},
		{"SUNION", "set", "set2"}, {"SUNION", "set", "numbers", "set2", "set", "small", "missing"}, {"SINTER", "set", "set2"}, {"SINTER", "set2", "set", "set2"},
		{"SDIFF", "set", "set2", "small"}, {"SDIFF", "set", "missing"},
		{"SINTERCARD", "2", "set", "set2"}, {"SINTERCARD", "2", "set", "set2", "LIMIT", "1200"}, {"SINTERCARD", "3", "set", "set2", "set"},
		{"ZUNION", "2", "zset", "zset2", "WITHSCORES"}, {"ZUNION", "4", "zset", "set", "zset2", "zset", "WEIGHTS", "2", "3", "-1", "0.5", "AGGREGATE", "MAX"},
		{"ZUNION", "3", "missing", "zset2", "small", "WITHSCORES"}, {"ZINTER", "2", "zset", "zset2", "WITHSCORES", "AGGREGATE", "MIN"},
		{"ZINTER", "3", "set2", "zset", "zset", "WEIGHTS", "1", "inf", "-inf", "WITHSCORES"}, {"ZDIFF", "2", "zset", "zset2", "WITHSCORES"}, {"ZDIFF", "3", "zset2", "set", "small"},
		{"ZINTERCARD", "2", "zset", "zset2"}, {"ZINTERCARD", "2", "zset", "set2", "LIMIT", "1200"},
		{"GEOSEARCH", "places", "FROMLONLAT", "10", "40", "BYRADIUS", "9000", "km", "ASC", "WITHCOORD", "WITHDIST", "WITHHASH"},
		{"GEOSEARCH", "places", "FROMMEMBER", "member:7", "BYBOX", "5000", "9000", "km"}, {"GEOSEARCH", "places", "FROMLONLAT", "1", "1", "BYRADIUS", "20000", "km", "COUNT", "700", "ANY"},
		{"GEORADIUS", "places", "170", "20", "7000", "km", "COUNT", "900", "DESC"}, {"GEORADIUS_RO", "places", "0", "0", "30000", "km"}, {"GEORADIUSBYMEMBER", "places", "member:1", "9000", "mi"},
		ofMany("set", "set:3", "SUNION"), ofMany("set", "set:3", "SDIFF", "set"), ofMany("set", "set:3", "SUNIONSTORE", "to"), ofMany("set", "set:3", "SDIFFSTORE", "to2", "set"),
		ofMany("zset", "zset:3", "ZUNION", manyKeys), ofMany("zset", "zset:3", "ZUNIONSTORE", "to", manyKeys), ofMany("set", "zset:3", "ZUNIONSTORE", "to2", manyKeys),
		{"SUNIONSTORE", "to", "set", "set2", "numbers"}, {"SINTERSTORE", "to", "set", "set2"}, {"SDIFFSTORE", "set3", "set2", "small"}, {"SUNIONSTORE", "set2", "set2", "set3"},
		{"SDIFFSTORE", "to", "numbers", "missing"}, {"SINTERSTORE", "to", "set", "set"}, {"SDIFFSTORE", "to", "set", "set"},
		{"ZUNIONSTORE", "to", "3", "zset", "set", "zset2", "WEIGHTS", "1", "2", "3"}, {"ZINTERSTORE", "to2", "2", "to", "zset2"}, {"ZDIFFSTORE", "to2", "2", "zset", "zset2"},
		{"COPY", "set", "to", "REPLACE"}, {"COPY", "zset", "to2", "REPLACE"}, {"COPY", "hash", "to3", "REPLACE"}, {"HGETALL", "to3"},
		{"ZRANGESTORE", "to", "zset", "100", "2500", "REV"}, {"ZRANGESTORE", "zset2", "zset2", "-inf", "(80", "BYSCORE", "LIMIT", "5", "2000"},
		{"GEOSEARCHSTORE", "to", "places", "FROMLONLAT", "10", "40", "BYRADIUS", "12000", "km"}, {"GEORADIUS", "places", "10", "40", "12000", "km", "STORE", "to2"},
		{"HMGET", "hash", "member:5", "nothing", "member:7", "big", "member:5"}, {"ZMSCORE", "zset", "member:5", "nothing", "member:77"}, {"SMISMEMBER", "set", "member:1", "nothing", "member:2999"},
		{"SMISMEMBER", "numbers", "1", "x", "2999"}, {"GEOHASH", "places", "member:1", "nothing", "member:2"}, {"GEOPOS", "places", "member:1", "nothing", "member:2"}, {"HMGET", "one", "field", "x"},
		{"MGET", "weight:1", "nothing", "hash", "weight:2", "text"}, {"EXISTS", "weight:1", "weight:1", "nothing", "hash"}, {"TOUCH", "weight:1", "weight:1", "nothing", "hash"},
		{"BITOP", "XOR", "bits", "text", "text2", "missing", "weight:3"}, {"BITCOUNT", "bits"}, {"BITOP", "NOT", "bits", "bits"}, {"BITCOUNT", "bits"}, {"BITOP", "AND", "bits", "text"}, {"BITCOUNT", "bits"},
		{"LCS", "text", "text2"}, {"LCS", "text", "text2", "LEN"}, {"LCS", "text2", "text", "IDX", "WITHMATCHLEN", "MINMATCHLEN", "2"},
		{"HRANDFIELD", "one", "-300", "WITHVALUES"}, {"ZRANDMEMBER", "one:z", "-300", "WITHSCORES"}, {"SRANDMEMBER", "one:s", "-5000"},
		{"XRANGE", "stream", "-", "+"}, {"XRANGE", "stream", "100", "2000", "COUNT", "1500"}, {"XREVRANGE", "stream", "2500", "1000"}, {"XRANGE", "stream", "9999", "+"},
		{"XREAD", "STREAMS", "stream", "0"}, {"XREAD", "STREAMS", "stream", "nothing", "stream2", "stream", "900", "0", "5", "0-0"}, {"XREAD", "COUNT", "5", "STREAMS", "stream2", "stream", "1", "2"},
		{"COPY", "set", "to", "DB", "1", "REPLACE"}, {"COPY", "zset", "to2", "DB", "1", "REPLACE"}, {"COPY", "hash", "to3", "DB", "1", "REPLACE"}, {"XREAD", "COUNT", "1700", "STREAMS", "stream", "1000"}, {"XREAD", "BLOCK", "1", "STREAMS", "stream", "2000"},
	} {
		for _, version := range []string{"2", "3"} {
			ours.Ctx.Out.SetProto(int(version[0] - '0'))
			real.Do("HELLO", version)
			before := ours.Long[ours.Table.Resolve(words(args)).FullName]
			want, got := real.Do(args...), ours.Do(args...)
			if !Same(args, want, got) {
				t.Errorf("RESP%s %q\nredis-server: %.300s\nours:         %.300s", version, args, want, got)
			}
			if ours.Long[ours.Table.Resolve(words(args)).FullName] == before {
				t.Errorf("%q did not go on after its handler", args)
			}
			for _, key := range []string{"to", "to2", "set2", "set3", "zset2"} {
				for _, look := range [][]string{{"OBJECT", "ENCODING", key}, {"SMEMBERS", key}, {"ZRANGE", key, "0", "-1", "WITHSCORES"}, {"LRANGE", key, "0", "-1"}} {
					if (args[0] == "COPY" || strings.Contains(strings.Join(args, " "), "STORE")) && !Same(look, real.Do(look...), ours.Do(look...)) {
						t.Errorf("RESP%s after %q: %q differs", version, args, look)
					}
				}
			}
		}
	}
}

func words(args []string) (list [][]byte) {
	for _, a := range args {
		list = append(list, []byte(a))
	}
	return list
}

package diff

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

const cutSize = 3000

// fillCut makes values of cutSize elements with an expiry.
func fillCut(d Doer) {
	d.Do("FLUSHALL")
	list, zset, lex := []string{"RPUSH", "list"}, []string{"ZADD", "zset"}, []string{"ZADD", "lex"}
	for i := range cutSize {
		element := "odd"
		if i%2 == 0 {
			element = strconv.Itoa(i)
		}
		list = append(list, element)
		lex = append(lex, "0", fmt.Sprint("member:", i))
		zset = append(zset, strconv.Itoa(i*7919%cutSize/2), fmt.Sprint("member:", i))
	}
	d.Do(append(list, "last")...)
	d.Do(zset...)
	d.Do(lex...)
	for _, key := range []string{"list", "zset"} {
		d.Do("PEXPIREAT", key, "4000000000000")
	}
}

// TestLongCuts compares commands that take elements out of big values and go on after their handlers: replies, what is left,
// effects and events.
func TestLongCuts(t *testing.T) {
	ours := NewDirect()
	ours.Ctx.Conf.LongFrom = 10
	ours.Ctx.Conf.NotifyEvents = 1<<15 - 1
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no", "--notify-keyspace-events", "KEAmn")
	stream, events := OpenStream(t, "unix", real.Sock), subscribe(t, real.Sock)
	for _, args := range [][]string{
		{"LREM", "list", "0", "odd"}, {"LREM", "list", "700", "odd"}, {"LREM", "list", "-700", "odd"}, {"LREM", "list", "-3", "100"}, {"LREM", "list", "1", "2222"},
		{"LREM", "list", "0", "nothing"}, {"LREM", "list", "-2", "odd"}, {"LREM", "list", "1499", "odd"}, {"LREM", "list", "-1500", "odd"}, {"LREM", "list", "9000", "odd"}, {"LREM", "list", "-9223372036854775808", "odd"},
		{"LPOP", "list", "5"}, {"LPOP", "list", "1000"}, {"RPOP", "list", "1000"}, {"LPOP", "list", "3001"}, {"RPOP", "list", "9000"}, {"RPOP", "list", "2999"},
		{"LMPOP", "3", "none", "list", "zset", "LEFT", "COUNT", "1500"}, {"LMPOP", "1", "list", "RIGHT", "COUNT", "9000"},
		{"LINSERT", "list", "BEFORE", "1600", "new"}, {"LINSERT", "list", "AFTER", "last", "new"}, {"LINSERT", "list", "AFTER", "nothing", "new"}, {"LINSERT", "list", "BEFORE", "0", "new"},
		{"LPOS", "list", "2000"}, {"LPOS", "list", "nothing"}, {"LPOS", "list", "odd", "RANK", "-200"}, {"LPOS", "list", "odd", "COUNT", "0"}, {"LPOS", "list", "odd", "RANK", "-3", "COUNT", "9"},
		{"LPOS", "list", "odd", "RANK", "1400", "COUNT", "0"}, {"LPOS", "list", "odd", "RANK", "-1499", "COUNT", "0"}, {"LPOS", "list", "odd", "COUNT", "0", "MAXLEN", "101"}, {"LPOS", "list", "odd", "RANK", "-2", "COUNT", "0", "MAXLEN", "100"},
		{"LPOS", "list", "odd", "RANK", "9000"}, {"LPOS", "list", "odd", "RANK", "9000", "COUNT", "3"}, {"LPOS", "list", "last", "MAXLEN", "3000"}, {"LPOS", "list", "last", "MAXLEN", "3001"}, {"LPOS", "list", "0", "RANK", "-1", "MAXLEN", "3000"},
		{"ZREMRANGEBYRANK", "zset", "0", "1499"}, {"ZREMRANGEBYRANK", "zset", "1000", "1999"}, {"ZREMRANGEBYRANK", "zset", "-1000", "-1"}, {"ZREMRANGEBYRANK", "zset", "10", "-2"}, {"ZREMRANGEBYRANK", "zset", "0", "-1"}, {"ZREMRANGEBYRANK", "zset", "5", "20"},
		{"ZREMRANGEBYSCORE", "zset", "(100", "900"}, {"ZREMRANGEBYSCORE", "zset", "-inf", "1200"}, {"ZREMRANGEBYSCORE", "zset", "9000", "inf"}, {"ZREMRANGEBYLEX", "lex", "[member:1", "(member:2"},
		{"ZPOPMIN", "zset", "5"}, {"ZPOPMIN", "zset", "1000"}, {"ZPOPMAX", "zset", "1000"}, {"ZPOPMAX", "zset", "2990"}, {"ZPOPMIN", "zset", "3000"}, {"ZPOPMAX", "zset", "9000"}, {"ZPOPMIN", "zset", "2500"},
		{"ZMPOP", "2", "none", "zset", "MIN", "COUNT", "1500"}, {"ZMPOP", "1", "zset", "MAX", "COUNT", "9000"}, {"ZMPOP", "1", "zset", "MAX", "COUNT", "700"},
	} {
		for _, version := range []string{"2", "3"} {
			real.Do("HELLO", version)
			ours.Ctx.Out.SetProto(int(version[0] - '0'))
			fillCut(real)
			fillCut(ours)
			real.Do("PUBLISH", "mark", "")
			events()
			ours.Events = nil
			want, got := real.Do(args...), ours.Do(args...)
			if !Same(args, want, got) {
				t.Errorf("RESP%s %q\nredis-server: %.300s\nours:         %.300s", version, args, want, got)
			}
			real.Do("PUBLISH", "mark", "")
			if want := events(); !slices.Equal(want, ours.Events) {
				t.Errorf("RESP%s %q: events\nredis-server: %v\nours:         %v", version, args, want, ours.Events)
			}
			for _, look := range [][]string{{"LRANGE", "list", "0", "-1"}, {"ZRANGE", "zset", "0", "-1", "WITHSCORES"}, {"ZRANGE", "lex", "0", "-1"}, {"PEXPIRETIME", "list"}, {"PEXPIRETIME", "zset"}, {"ZSCORE", "zset", "member:77"}, {"ZRANK", "zset", "member:2500"}} {
				if want, got := real.Do(look...), ours.Do(look...); !Same(look, want, got) {
					t.Errorf("RESP%s after %q: %q\nredis-server: %.300s\nours:         %.300s", version, args, look, want, got)
				}
			}
		}
	}
	for _, name := range []string{"lrem", "lpop", "rpop", "lmpop", "linsert", "lpos", "zremrangebyrank", "zremrangebyscore", "zremrangebylex", "zpopmin", "zpopmax", "zmpop"} {
		if ours.Long[name] < 2 {
			t.Errorf("%s went on after its handler %d times", name, ours.Long[name])
		}
	}
	real.Do("SET", "end", "")
	if d := DiffEffects(withoutMarks(stream.Until("end")), ours.Effects); d != "" {
		t.Fatal(d)
	}
}

// withoutMarks leaves out the messages that end a list of events.
func withoutMarks(list [][]string) [][]string {
	return slices.DeleteFunc(list, func(words []string) bool { return words[0] == "PUBLISH" || words[0] == "publish" })
}

package diff

import (
	"fmt"
	"slices"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

const groupSize = 600

// fillGroups makes a stream of groupSize entries, some deleted, with groups that have read some of it.
func fillGroups(d Doer) {
	d.Do("FLUSHALL")
	for i := range groupSize {
		d.Do("XADD", "s", fmt.Sprint(i+1, "-1"), "field", fmt.Sprint("value:", i))
		if i%10 == 0 {
			d.Do("XADD", "other", fmt.Sprint(i+1, "-1"), "f", "v", "g", "w")
		}
	}
	for _, args := range [][]string{
		{"XGROUP", "CREATE", "s", "g", "0"}, {"XGROUP", "CREATE", "s", "h", "300-1"}, {"XGROUP", "CREATE", "s", "none", "$"}, {"XGROUP", "CREATE", "s", "known", "100-1", "ENTRIESREAD", "100"},
		{"XGROUP", "CREATE", "other", "g", "0"},
		{"XREADGROUP", "GROUP", "g", "c1", "COUNT", "300", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "g", "c2", "COUNT", "100", "STREAMS", "s", ">"},
		{"XDEL", "s", "5-1", "64-1", "65-1", "250-1", "350-1", "450-1"}, {"XACK", "s", "g", "3-1", "200-1"}, {"XGROUP", "CREATECONSUMER", "s", "g", "idle"},
	} {
		d.Do(args...)
	}
}

// TestLongGroups compares commands on very much of a consumer group, which go on after their handlers: replies, what is left,
// and effects.
func TestLongGroups(t *testing.T) {
	ours := NewDirect()
	ours.Ctx.Conf.LongFrom = 10
	real := oracle.Start(t, "--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "no")
	stream := OpenStream(t, "unix", real.Sock)
	for _, args := range append(claims(), [][]string{
		{"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "g", "c3", "COUNT", "129", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "g", "c1", "NOACK", "STREAMS", "s", ">"},
		{"XREADGROUP", "GROUP", "g", "new", "NOACK", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "h", "c", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "known", "c", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "known", "c", "COUNT", "64", "STREAMS", "s", ">"},
		{"XREADGROUP", "GROUP", "none", "c", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "1", "STREAMS", "s", ">"}, {"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "18446744073709551615-18446744073709551615"},
		{"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", "0"}, {"XREADGROUP", "GROUP", "g", "c1", "COUNT", "128", "STREAMS", "s", "100"}, {"XREADGROUP", "GROUP", "g", "c2", "COUNT", "1000", "STREAMS", "s", "0-0"}, {"XREADGROUP", "GROUP", "g", "idle", "STREAMS", "s", "0"},
		{"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", "other", ">", ">"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "other", "s", ">", "0"}, {"XREADGROUP", "GROUP", "g", "c1", "COUNT", "70", "STREAMS", "s", "other", "0", ">"}, {"XREADGROUP", "GROUP", "g", "new", "STREAMS", "s", "other", "0", ">"},
		{"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", "missing", ">", ">"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", "s", ">", "0"}, {"XREADGROUP", "GROUP", "g", "c1", "STREAMS", "s", "s", ">", ">"},
		{"COPY", "s", "to"}, {"COPY", "other", "s", "REPLACE"}, {"COPY", "s", "to", "DB", "1"}, {"COPY", "s", "other"}, {"XINFO", "STREAM", "s", "FULL"}, {"XINFO", "STREAM", "s", "FULL", "COUNT", "77"}, {"XINFO", "STREAM", "s", "FULL", "COUNT", "0"}, {"XINFO", "STREAM", "to", "FULL", "COUNT", "0"},
		{"XAUTOCLAIM", "s", "g", "c3", "0", "0", "COUNT", "1000"}, {"XAUTOCLAIM", "s", "g", "c1", "0", "0", "COUNT", "150"}, {"XAUTOCLAIM", "s", "g", "c2", "0", "60", "COUNT", "64"}, {"XAUTOCLAIM", "s", "g", "c3", "0", "0", "COUNT", "1000", "JUSTID"},
		{"XAUTOCLAIM", "s", "g", "c3", "10000000", "0", "COUNT", "1000"}, {"XAUTOCLAIM", "s", "g", "c3", "10000000", "0", "COUNT", "20"}, {"XAUTOCLAIM", "s", "g", "c3", "0", "0"}, {"XAUTOCLAIM", "s", "none", "c3", "0", "0", "COUNT", "1000"}, {"XAUTOCLAIM", "s", "g", "c3", "0", "9000", "COUNT", "1000"},
	}...) {
		for _, version := range []string{"2", "3"} {
			real.Do("HELLO", version)
			ours.Ctx.Out.SetProto(int(version[0] - '0'))
			fillGroups(real)
			fillGroups(ours)
			want, got := real.Do(args...), ours.Do(args...)
			if !Same(args, want, got) {
				t.Errorf("RESP%s %.300q\nredis-server: %.300s\nours:         %.300s", version, args, want, got)
			}
			for _, look := range [][]string{{"XPENDING", "s", "g"}, {"XPENDING", "s", "g", "-", "+", "1000"}, {"XPENDING", "s", "g", "-", "+", "1000", "c1"}, {"XINFO", "GROUPS", "s"}, {"XINFO", "CONSUMERS", "s", "g"}, {"XINFO", "STREAM", "s", "FULL", "COUNT", "0"}, {"XINFO", "GROUPS", "other"}, {"XINFO", "STREAM", "to", "FULL", "COUNT", "0"}} {
				if want, got := real.Do(look...), ours.Do(look...); !Same(look, want, got) {
					t.Errorf("RESP%s after %.300q: %q\nredis-server: %.300s\nours:         %.300s", version, args, look, want, got)
				}
			}
		}
	}
	if ours.Long["xreadgroup"] < 30 || ours.Long["xautoclaim"] < 10 || ours.Long["xclaim"] < 20 || ours.Long["copy"] < 4 || ours.Long["xinfo|stream"] < 50 {
		t.Errorf("went on after their handlers: %v", ours.Long)
	}
	real.Do("SET", "end", "")
	if d := DiffEffects(stream.Until("end"), lastSetIDs(ours.Effects)); d != "" {
		t.Fatal(d)
	}
}

// claims are XCLAIMs of many IDs, some of which are not pending, deleted, or given twice, and not in order.
func claims() (list [][]string) {
	var all, odd, missing []string
	for i := range groupSize {
		id := fmt.Sprint((i*7)%groupSize+1, "-1")
		all, missing = append(all, id), append(missing, fmt.Sprint(i+1, "-9"))
		if i%2 == 1 {
			odd = append(odd, id)
		}
	}
	for _, of := range []struct {
		consumer, idle string
		ids, options   []string
	}{
		{"c3", "0", all, nil}, {"c1", "0", odd, []string{"JUSTID"}}, {"c3", "0", all, []string{"FORCE"}}, {"c2", "0", odd, []string{"FORCE", "RETRYCOUNT", "7"}},
		{"c3", "10000000", all, nil}, {"c3", "10000000", all, []string{"LASTID", "500-1"}}, {"c3", "0", all, []string{"LASTID", "500-1", "JUSTID"}}, {"c3", "0", missing, []string{"LASTID", "3-1"}}, {"c3", "0", missing, []string{"LASTID", "550-1", "FORCE"}},
		{"c3", "1", slices.Concat(odd, odd), []string{"IDLE", "0", "FORCE"}}, {"c3", "0", slices.Concat(odd, odd), nil}, {"c3", "0", slices.Concat(all, all, missing), []string{"TIME", "12345"}}, {"idle", "0", slices.Concat(missing, odd), nil},
	} {
		list = append(list, slices.Concat([]string{"XCLAIM", "s", "g", of.consumer, of.idle}, of.ids, of.options))
	}
	return append(list, append([]string{"XCLAIM", "s", "nobody", "c3", "0"}, all...), append([]string{"XCLAIM", "missing", "g", "c3", "0"}, all...), append(append([]string{"XCLAIM", "s", "g", "c3", "0"}, odd...), "NONSENSE"))
}

// lastSetIDs leaves one of XGROUP SETIDs that follow each other: each piece of a NOACK ends with its own.
func lastSetIDs(list [][]string) (out [][]string) {
	for i, words := range list {
		if i+1 < len(list) && len(words) > 4 && words[1] == "SETID" && slices.Equal(words[:4], list[i+1][:min(4, len(list[i+1]))]) {
			continue
		}
		out = append(out, words)
	}
	return out
}

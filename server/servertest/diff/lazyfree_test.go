package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// big is a set that Redis frees lazily where it is told to: with more than 64 members in a table.
func big(key string) []string {
	args := []string{"SADD", key}
	for i := range 1000 {
		args = append(args, fmt.Sprintf("member%d", i))
	}
	return args
}

// waysToGo are what makes the set "big" go.
var waysToGo = [][][]string{
	{{"DEL", "big"}}, {{"UNLINK", "big"}}, {{"DEL", "str"}}, {{"UNLINK", "str"}}, {{"EXPIRE", "big", "-1"}}, {{"GETDEL", "str"}}, {{"GETEX", "str", "PXAT", "1"}},
	{{"RENAME", "other", "big"}}, {{"SET", "big", "1"}}, {{"SINTERSTORE", "big", "none"}}, {{"SINTERSTORE", "big", "other"}}, {{"SUNIONSTORE", "big", "other"}},
	{{"COPY", "other", "big", "REPLACE"}}, {{"SORT", "other", "ALPHA", "STORE", "big"}}, {{"SORT", "none", "STORE", "big"}}, {{"MOVE", "big", "1"}},
	{{"ZADD", "z", "1", "a"}, {"ZRANGESTORE", "big", "z", "0", "-1"}}, {{"BITOP", "NOT", "big", "str"}}, {{"BITOP", "NOT", "big", "none"}},
	{{"FLUSHALL"}}, {{"FLUSHALL", "SYNC"}}, {{"FLUSHALL", "ASYNC"}}, {{"FLUSHDB"}}, {{"FLUSHDB", "SYNC"}}, {{"FLUSHDB", "ASYNC"}},
	{{"PEXPIREAT", "big", "1"}}, {{"EVAL", "redis.call('DEL', KEYS[1])", "1", "big"}}, {big("one"), {"SPOP", "one", "5000"}},
	{{"CONFIG", "SET", "maxmemory-policy", "volatile-ttl"}, {"EXPIRE", "big", "1000"}, {"CONFIG", "SET", "maxmemory", "1"}, {"SET", "x", "y"}, {"CONFIG", "SET", "maxmemory", "0"}},
}

// twice is what redis-server counts two times: it tears the set apart while it replies, and then once more.
const twice = "SPOP one 5000"

// TestLazyfree compares what the directives lazyfree-lazy-* let one see: lazyfreed_objects and the words of the stream.
func TestLazyfree(t *testing.T) {
	for _, on := range []string{"", "eviction", "expire", "server-del", "user-del", "user-flush"} {
		args := []string{"--save", "", "--repl-diskless-sync-delay", "0"}
		if on != "" {
			args = append(args, "--lazyfree-lazy-"+on, "yes")
		}
		real := oracle.Start(t, append(args, "--repl-diskless-sync", "no")...)
		ours := servertest.Start(t, args[2:]...)
		theirStream := OpenStream(t, "unix", real.Sock)
		ourStream := OpenStream(t, "tcp", fmt.Sprintf("127.0.0.1:%d", ours.Port()))
		for _, way := range waysToGo {
			last := strings.Join(way[len(way)-1], " ")
			got := lazilyFreed(t, ours, way)
			want := lazilyFreed(t, real, way)
			// redis-server's thread counts an object as freed a moment after it is not pending any more.
			for end := time.Now().Add(patience / 10); want != got && time.Now().Before(end); time.Sleep(time.Millisecond) {
				if want = infoField(real, "lazyfreed_objects"); last == twice && want == "2" {
					want = "1"
				}
			}
			if want != got {
				t.Errorf("lazyfree-lazy-%s: %.200q: redis-server frees %s lazily, ours %s", on, last, want, got)
			}
		}
		real.Do("SET", "end", "")
		ours.Do("SET", "end", "")
		if d := DiffEffects(withoutEvictor(theirStream.Until("end")), withoutEvictor(ourStream.Until("end"))); d != "" {
			t.Errorf("lazyfree-lazy-%s: %s", on, d)
		}
	}
}

// withoutEvictor leaves out the write that makes others give way: whether redis-server still refuses it depends on how soon its
// thread has freed what was evicted lazily.
func withoutEvictor(list [][]string) [][]string {
	return slices.DeleteFunc(list, func(words []string) bool { return slices.Equal(words, []string{"SET", "x", "y"}) })
}

// lazilyFreed lets the big set go in one way.
func lazilyFreed(t *testing.T, d Doer, way [][]string) string {
	t.Helper()
	for _, args := range [][]string{{"FLUSHALL", "SYNC"}, {"CONFIG", "RESETSTAT"}, big("big"), big("other"), {"SET", "str", strings.Repeat("x", 100000)}} {
		if v := d.Do(args...); v.IsError() {
			t.Fatalf("%.100q: %s", args, v)
		}
	}
	for _, args := range way {
		d.Do(args...)
	}
	servertest.Await(t, "lazy frees", func() bool { return infoField(d, "lazyfree_pending_objects") == "0" })
	return infoField(d, "lazyfreed_objects")
}

func infoField(d Doer, name string) string {
	for line := range strings.Lines(string(d.Do("INFO", "everything").Str)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "none"
}

package link_test

import (
	"strconv"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
)

// TestFullSyncTellsAccessClocks: idle times and frequencies survive a full sync in both directions, where the policy of
// maxmemory looks at them.
func TestFullSyncTellsAccessClocks(t *testing.T) {
	for _, c := range []struct{ policy, option, value, object string }{
		{"allkeys-lru", "IDLETIME", "5000", "IDLETIME"},
		{"volatile-lfu", "FREQ", "200", "FREQ"},
	} {
		for _, real := range []bool{true, false} {
			t.Run(c.policy+" real master="+strconv.FormatBool(real), func(t *testing.T) {
				ours := Start(t, append(noDelay, "--maxmemory-policy", c.policy)...)
				var master, replica Peer = ours, StartRedis(t, "--maxmemory-policy", c.policy)
				if real {
					master, replica = StartRedis(t, "--maxmemory-policy", c.policy, "--repl-diskless-sync-delay", "0"), ours
				}
				master.Must("SET", "s", "v")
				for i := range 1000 {
					master.Must("HSET", "big", strconv.Itoa(i), "x")
				}
				for _, key := range []string{"s", "big"} {
					dump := master.Must("DUMP", key)
					master.Must("RESTORE", key, "0", string(dump.Str), "REPLACE", c.option, c.value)
				}
				replicate(t, replica, master)
				want, _ := strconv.ParseInt(c.value, 10, 64)
				for _, key := range []string{"s", "big"} {
					if got := replica.Must("OBJECT", c.object, key).Int; got < want-1 || got > want+60 {
						t.Errorf("%s of %s: %d, the master's was %d", c.object, key, got, want)
					}
				}
			})
		}
	}
}

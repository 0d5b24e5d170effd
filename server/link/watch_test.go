package link_test

import (
	"strconv"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
)

// TestFullSyncBreaksWatches: a key that goes, comes or is there before and after a full sync has changed, as with a
// redis-server that loads beside its data; one that is missing throughout has not.
func TestFullSyncBreaksWatches(t *testing.T) {
	for name, start := range map[string]func() Peer{
		"redis-server": func() Peer { return StartRedis(t, "--repl-diskless-load", "swapdb") },
		"ours":         func() Peer { return Start(t) },
	} {
		master := Start(t, noDelay...)
		master.Must("MSET", "came", "1", "stays", "1")
		replica := start()
		replica.Must("MSET", "gone", "1", "stays", "1")
		broken := map[string]bool{"gone": true, "came": true, "stays": true, "missing": false}
		clients := map[string]*Client{}
		for key := range broken {
			clients[key] = Dial(t, replica.Port(), "")
			defer clients[key].Close()
			clients[key].Do("WATCH", key)
		}
		replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
		AwaitLink(t, replica)
		for key, want := range broken {
			c := clients[key]
			c.Do("MULTI")
			c.Do("PING")
			if v := c.Do("EXEC"); v.Null != want {
				t.Errorf("%s: EXEC after a full sync, with a watch on key %q: %s", name, key, v)
			}
		}
	}
}

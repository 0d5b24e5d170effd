package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// longIdle is an idle time, in seconds, that a key has only when it was restored with it.
const longIdle = 1000

// TestAccessClocks compares which random commands count as an access to which keys: all keys are restored as idle for long,
// and a key that was used is not any more.
func TestAccessClocks(t *testing.T) { forSeeds(t, accessClocks) }

func accessClocks(t *testing.T, seed uint64) {
	real, ours := oracle.Start(t, "--save", ""), servertest.Start(t)
	g := NewGen(seed, ours.Engine.Table, time.Now().UnixMilli(), func(c *command.Cmd) bool {
		return !elsewhere[c.FullName] && !rare[c.FullName] && slices.ContainsFunc(c.Documented(), func(a command.Arg) bool { return a.Type == "key" || len(a.Args) > 0 }) &&
			!strings.HasPrefix(c.FullName, "client") && !strings.HasPrefix(c.FullName, "acl") && !strings.HasPrefix(c.FullName, "config") && c.Group != "transactions" && c.Group != "pubsub"
	})
	dumps := dumpsOfAllTypes(real)
	restore := func(key string) {
		args := []string{"RESTORE", key, "0", pick(g, dumps), "REPLACE", "IDLETIME", fmt.Sprint(longIdle)}
		real.Must(args...)
		ours.Must(args...)
	}
	for _, key := range g.keys {
		restore(key)
	}
	for i := range *commands / 10 {
		args := g.Next()
		if KeptToItself(args) {
			continue
		}
		refused := real.Do(args...).IsError()
		ours.Do(args...)
		for _, key := range g.keys {
			if refused { // how far a command came before it was refused is its own affair
				restore(key)
				continue
			}
			want, got := usage(real, key), usage(ours, key)
			if want != got {
				t.Errorf("seed %d, command %d: %q: %q is %s in redis-server, %s in ours", seed, i, args, key, want, got)
			}
			if want != "left alone" || want != got {
				restore(key)
			}
		}
	}
}

// usage tells what a command made of a key.
func usage(d Doer, key string) string {
	switch v := d.Do("OBJECT", "IDLETIME", key); {
	case v.Null:
		return "not there"
	case v.Int > longIdle/2:
		return "left alone"
	}
	return "used"
}

func dumpsOfAllTypes(d Doer) (dumps []string) {
	for _, args := range [][]string{{"SET", "k", "text"}, {"SET", "k", "123456"}, {"RPUSH", "k", "e1", "e2", "10"}, {"SADD", "k", "1", "2"}, {"SADD", "k", "m1", "m2"},
		{"HSET", "k", "f1", "v", "f2", "3"}, {"ZADD", "k", "1", "m1", "2", "m2"}, {"XADD", "k", "1-1", "f", "v"}, {"PFADD", "k", "x"}} {
		d.Do("DEL", "k")
		d.Do(args...)
		dumps = append(dumps, string(d.Do("DUMP", "k").Str))
	}
	d.Do("DEL", "k")
	return dumps
}

package link_test

import (
	"flag"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/understudy-db/understudy/server/servertest"
)

var (
	chainKeys = flag.Int("chain.keys", 5000, "keys before the chain is built")
	chainCuts = flag.Int("chain.cuts", 6, "links cut at random under writes")
	chainSeed = flag.Int64("chain.seed", 0, "0: from the clock")
)

// writer writes to a master until stopped: sets, counters, hashes, expiries, deletions and transactions.
func writer(t *testing.T, port int, seed int64) (stop func() (writes int)) {
	c := Dial(t, port, "")
	done := make(chan struct{})
	var n, ended atomic.Int64
	go func() {
		defer close(done)
		rnd := rand.New(rand.NewSource(seed))
		for ended.Load() == 0 {
			k := "key:" + strconv.Itoa(rnd.Intn(*chainKeys+100))
			switch rnd.Intn(8) {
			case 0:
				c.Do("SET", k, strings.Repeat("v", rnd.Intn(2000)), "PX", strconv.Itoa(50+rnd.Intn(2000)))
			case 1:
				c.Do("DEL", k)
			case 2:
				c.Do("HSET", "h:"+k, "f"+strconv.Itoa(rnd.Intn(200)), "v")
			case 3:
				c.Do("MULTI")
				c.Do("INCR", "counter")
				c.Do("SET", "in", k)
				c.Do("EXEC")
			case 4:
				c.Do("SELECT", strconv.Itoa(rnd.Intn(3)))
			case 5:
				c.Do("EXPIRE", k, "1")
			default:
				c.Do("SET", k, "v"+strconv.Itoa(rnd.Int()))
			}
			n.Add(1)
		}
	}()
	return func() int {
		ended.Store(1)
		<-done
		c.Close()
		return int(n.Load())
	}
}

// cutAtRandom breaks links while something is written, and lets them come back.
func cutAtRandom(rnd *rand.Rand, links ...*Proxy) {
	for range *chainCuts {
		time.Sleep(time.Duration(50+rnd.Intn(250)) * time.Millisecond)
		l := links[rnd.Intn(len(links))]
		switch rnd.Intn(3) {
		case 0:
			l.Stall(true)
			time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
			l.Cut()
			l.Stall(false)
		case 1:
			l.Refuse(true)
			time.Sleep(time.Duration(rnd.Intn(300)) * time.Millisecond)
			l.Refuse(false)
		default:
			l.Cut()
		}
	}
}

// linkEnd lets a link stand for the server behind it.
type linkEnd struct {
	Peer
	*Proxy
}

func (l linkEnd) Port() int { return l.Proxy.Port() }

func via(p *Proxy) Peer { return linkEnd{Proxy: p} }

var bigBacklog = []string{"--repl-backlog-size", "64mb", "--repl-diskless-sync-delay", "0"}

// TestPromotionKeepsTheChain: S8 for a planned change by hand. The middle of a chain becomes master; the old master and
// the bottom continue from it without a full sync.
func TestPromotionKeepsTheChain(t *testing.T) {
	top, middle, bottom := Start(t, bigBacklog...), Start(t, bigBacklog...), StartRedis(t)
	fill(top, 100)
	replicate(t, middle, top)
	replicate(t, bottom, middle)
	MustAgree(t, top, middle, bottom)
	middle.Must("REPLICAOF", "NO", "ONE")
	middle.Must("SET", "new", "master")
	replicate(t, top, middle)
	AwaitLink(t, bottom)
	MustAgree(t, middle, top, bottom)
	if got := middle.Info("sync_full"); got != "1" {
		t.Errorf("sync_full of the new master %s, predicted 1: the bottom's first", got)
	}
	if got := top.Must("GET", "new").String(); !strings.Contains(got, "master") {
		t.Errorf("old master: GET new = %s", got)
	}
	if v := top.Do("SET", "x", "y"); !strings.HasPrefix(string(v.Str), "READONLY") {
		t.Errorf("a replica took a write: %s", v)
	}
}

// TestFailover hands over by command, as Redis does, without a full sync.
func TestFailover(t *testing.T) {
	for _, name := range []string{"ours to redis", "redis to ours", "ours to ours"} {
		t.Run(name, func(t *testing.T) {
			var a, b Peer
			switch name {
			case "ours to redis":
				a, b = Start(t, bigBacklog...), StartRedis(t)
			case "redis to ours":
				a, b = StartRedis(t), Start(t, bigBacklog...)
			default:
				a, b = Start(t, bigBacklog...), Start(t, bigBacklog...)
			}
			fill(a, 50)
			replicate(t, b, a)
			Await(t, "the target to be online", func() bool { return strings.Contains(a.Info("slave0"), "state=online") })
			a.Must("FAILOVER", "TO", "127.0.0.1", strconv.Itoa(b.Port()))
			Await(t, "the roles to change", func() bool { return b.Info("role") == "master" && a.Info("master_link_status") == "up" })
			b.Must("SET", "after", "failover")
			MustAgree(t, b, a)
			if full := fmt.Sprint(a.Info("sync_full"), b.Info("sync_full")); full != "10" {
				t.Errorf("full syncs %s, predicted 1 and 0", full)
			}
			if state := a.Info("master_failover_state"); state != "no-failover" {
				t.Errorf("master_failover_state %s", state)
			}
		})
	}
}

// TestTheSelectedDatabaseSurvivesAMove: the stream stands in database 3 when the bottom of a chain is sent to the top
// itself. The history is the same, so nobody sends SELECT again.
func TestTheSelectedDatabaseSurvivesAMove(t *testing.T) {
	top, middle, bottom := Start(t, bigBacklog...), Start(t, bigBacklog...), Start(t)
	replicate(t, middle, top)
	replicate(t, bottom, middle)
	top.Must("SELECT", "3")
	top.Must("SET", "a", "1")
	MustAgree(t, top, middle, bottom)
	replicate(t, bottom, top)
	top.Must("SET", "b", "2")
	MustAgree(t, top, middle, bottom)
	bottom.Must("SELECT", "3")
	if n := bottom.Must("DBSIZE").Int; n != 2 {
		t.Errorf("database 3 has %d keys, want 2", n)
	}
	if full := top.Info("sync_full") + middle.Info("sync_full"); full != "11" {
		t.Errorf("full syncs %s, predicted 1 each", full)
	}
}

// TestFailoverIsCalledOffWhenTheTargetRefuses: the old master goes on as one, and nobody needs a full sync.
func TestFailoverIsCalledOffWhenTheTargetRefuses(t *testing.T) {
	a, b := Start(t, bigBacklog...), Start(t, bigBacklog...)
	fill(a, 50)
	replicate(t, b, a)
	Await(t, "the target to be online", func() bool { return strings.Contains(a.Info("slave0"), "state=online") })
	b.Must("ACL", "SETUSER", "default", "-psync")
	a.Must("FAILOVER", "TO", "127.0.0.1", strconv.Itoa(b.Port()))
	Await(t, "the end of the hand-over", func() bool { return a.Info("master_failover_state") == "no-failover" })
	if role := a.Info("role"); role != "master" {
		t.Fatalf("the old master is a %s", role)
	}
	a.Must("SET", "goes", "on")
	AwaitLink(t, b)
	MustAgree(t, a, b)
	if full := a.Info("sync_full") + b.Info("sync_full"); full != "10" {
		t.Errorf("full syncs %s, predicted 1 and 0", full)
	}
}

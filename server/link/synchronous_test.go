package link_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/understudy-db/understudy/server/servertest"
)

// TestSynchronousReplicas: a reply leaves when so many replicas have everything that it reflects, whatever servers they are.
func TestSynchronousReplicas(t *testing.T) {
	for _, real := range []bool{true, false} {
		t.Run("real replicas="+strconv.FormatBool(real), func(t *testing.T) {
			master := Start(t, append(noDelay, "--synchronous-replicas", "2", "--synchronous-timeout", "60000")...)
			if v := master.Do("SET", "a", "1"); !strings.HasPrefix(string(v.Str), "NOREPLICAS ") {
				t.Fatalf("a write without replicas: %s", v)
			}
			var links []*Proxy
			for range 2 {
				var replica Peer
				if real {
					replica = StartRedis(t)
				} else {
					replica = Start(t)
				}
				link := NewProxy(t, master.Port())
				links = append(links, link)
				replicate(t, replica, via(link))
			}
			Await(t, "both replicas", func() bool { return !master.Do("SET", "a", "1").IsError() })
			from := time.Now()
			for i := range 50 {
				master.Must("SET", "k:"+strconv.Itoa(i), "x")
				master.Must("WAIT", "2", "1000") // they have it: nothing to wait for
			}
			if took := time.Since(from); took > 10*time.Second {
				t.Errorf("50 writes took %v: the replicas acknowledge once per second", took)
			}
			links[0].Stall(true)
			master.Must("CONFIG", "SET", "synchronous-timeout", "300")
			if v := master.Do("SET", "a", "2"); !strings.HasPrefix(string(v.Str), "UNCONFIRMED outcome unknown") {
				t.Fatalf("a write that one of two replicas has: %s", v)
			}
			if v := master.Do("GET", "a"); !strings.HasPrefix(string(v.Str), "UNCONFIRMED") {
				t.Fatalf("a read of it: %s", v)
			}
			links[0].Stall(false)
			Await(t, "the replica to go on", func() bool { return string(master.Do("GET", "a").Str) == "2" })
			links[1].Refuse(true)
			Await(t, "the refusal", func() bool {
				return strings.HasPrefix(string(master.Do("SET", "a", "3").Str), "NOREPLICAS ")
			})
			if v := master.Do("GET", "a"); string(v.Str) != "2" && string(v.Str) != "3" && !strings.HasPrefix(string(v.Str), "UNCONFIRMED") {
				t.Errorf("a read of what both had: %s", v)
			}
			master.Must("CONFIG", "SET", "synchronous-replicas", "1", "synchronous-timeout", "60000")
			master.Must("SET", "a", "4")
			links[1].Refuse(false)
		})
	}
}

// TestSynchronousTogetherWithMinReplicasToWrite: each refuses for itself.
func TestSynchronousTogetherWithMinReplicasToWrite(t *testing.T) {
	master := Start(t, append(noDelay, "--synchronous-replicas", "1", "--synchronous-timeout", "60000", "--min-replicas-to-write", "2")...)
	one, two := Start(t), Start(t)
	replicate(t, one, master)
	Await(t, "one replica", func() bool { return master.Info("connected_slaves") == "1" })
	if v := master.Do("SET", "a", "1"); string(v.Str) != "NOREPLICAS Not enough good replicas to write." {
		t.Fatalf("with one replica of two: %s", v)
	}
	replicate(t, two, master)
	Await(t, "both replicas", func() bool { return !master.Do("SET", "a", "1").IsError() })
	if n := master.Must("WAIT", "2", "0"); n.Int != 2 {
		t.Errorf("WAIT 2: %s", n)
	}
	master.Must("CONFIG", "SET", "min-replicas-to-write", "0", "synchronous-timeout", "300") // a write may come before their ends are noticed
	one.Must("REPLICAOF", "NO", "ONE")
	two.Must("REPLICAOF", "NO", "ONE")
	Await(t, "no replica", func() bool {
		return strings.HasPrefix(string(master.Do("SET", "a", "2").Str), "NOREPLICAS Not enough replicas attached")
	})
}

// TestASynchronousMasterThatIsDemoted leaves nobody with a wrong answer, and its replica waits for nobody.
func TestASynchronousMasterThatIsDemoted(t *testing.T) {
	master, replica := Start(t, append(noDelay, "--synchronous-replicas", "1", "--synchronous-timeout", "60000")...), Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, replica, via(link))
	Await(t, "the replica", func() bool { return !master.Do("SET", "a", "1").IsError() })
	link.Stall(true)
	answer := make(chan string, 1)
	go func() {
		c := Dial(t, master.Port(), "")
		defer c.Close()
		answer <- string(c.Do("SET", "a", "2").Str)
	}()
	Await(t, "the write", func() bool { return master.Info("committed_offset") != master.Info("master_repl_offset") })
	time.Sleep(50 * time.Millisecond)
	select {
	case got := <-answer:
		t.Fatalf("answered without the replica: %s", got)
	default:
	}
	replica.Must("REPLICAOF", "NO", "ONE")
	master.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(replica.Port()))
	if got := <-answer; !strings.HasPrefix(got, "UNCONFIRMED") {
		t.Fatalf("the demoted master answered %s", got)
	}
	link.Stall(false)
	AwaitLink(t, master)
	MustAgree(t, replica, master)
}

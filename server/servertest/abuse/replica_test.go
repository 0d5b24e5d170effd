package abuse

import (
	"bytes"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// badRequests come from somebody who says that he is a replica, and are answered as redis-server answers them.
var badRequests = []string{
	"PSYNC\r\n", "PSYNC a\r\n", "PSYNC ? x\r\n", "PSYNC ? 1.5\r\n", "SYNC x\r\n", "MULTI\r\nPSYNC ? -1\r\nEXEC\r\n", "MULTI\r\nSYNC\r\nEXEC\r\n",
	"REPLCONF\r\n", "REPLCONF a\r\n", "REPLCONF listening-port x\r\n", "REPLCONF listening-port 1 capa\r\n", "REPLCONF nonsense 1\r\n",
	"REPLCONF ip-address " + strings.Repeat("9", 300) + "\r\n", "REPLCONF ACK x\r\n", "REPLCONF ACK 9223372036854775807\r\n", "REPLCONF GETACK *\r\n",
	"REPLCONF capa \xff\xfe capa eof\r\n", "REPLCONF rdb-only x\r\n",
	"REPLICAOF a\r\n", "REPLICAOF host port\r\n", "REPLICAOF host 65536\r\n", "REPLICAOF host -1\r\n", "SLAVEOF no\r\n", "FAILOVER TO nowhere 1\r\n", "FAILOVER TIMEOUT -1\r\n",
	"WAIT\r\n", "WAIT x 1\r\n", "WAIT 1 -1\r\n", "WAIT -5 1\r\n",
}

func TestBadRequestsOfReplicas(t *testing.T) {
	t.Parallel()
	v, real := newVictim(t), servertest.StartRedis(t)
	for _, in := range badRequests {
		ours, theirs := exchange(t, v.Port(), in, len(in)), exchange(t, real.Port(), in, len(in))
		if ours != theirs {
			t.Errorf("%.80q: answered\n%.300q, redis-server\n%.300q", in, ours, theirs)
		}
	}
	if got := exchange(t, v.Port(), "REPLCONF ip-address \"1.2.3.4\\nconnected_slaves:99\"\r\n", 100); !strings.HasPrefix(got, "-ERR REPLCONF ip-address") {
		t.Errorf("an address with a line end is answered %q", got)
	}
	v.unharmed()
}

// TestReplicasThatBreakOff ask for the data set in every way and leave at every moment.
func TestReplicasThatBreakOff(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "--repl-diskless-sync-delay", "0")
	id := v.Info("master_replid")
	asks := []string{"SYNC\r\n", "PSYNC ? -1\r\n", "REPLCONF capa eof capa psync2\r\nPSYNC ? -1\r\n", "PSYNC " + id + " -9223372036854775808\r\n",
		"PSYNC " + id + " 9223372036854775807\r\n", "PSYNC " + id + " 0\r\n", "PSYNC " + strings.Repeat("0", 40) + " -1\r\n", "PSYNC " + strings.Repeat("z", 5000) + " 1\r\n",
		"PSYNC ? -1 FAILOVER\r\n", "PSYNC ? -1\r\n" + encode("REPLCONF", "ACK", "x") + "garbage\r\n*5\r\n$", "SYNC\r\nSYNC\r\nPSYNC ? -1\r\n"}
	for i := range 4 * len(asks) {
		w := dial(t, v.Port())
		w.say(asks[i%len(asks)])
		switch i / len(asks) {
		case 0:
			w.reset()
		case 1:
			w.Close()
		case 2:
			buf := make([]byte, 100)
			_, _ = w.Read(buf)
			w.reset()
		default:
			w.say(strings.Repeat("x", 40000))
			w.reset()
		}
	}
	servertest.Await(t, "the replicas to be forgotten", func() bool { return v.Info("connected_slaves") == "0" })
	v.unharmed()
}

// TestImpossibleAcknowledgement: an offset beyond the stream counts for nobody, and its sender is cut off.
func TestImpossibleAcknowledgement(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "--repl-diskless-sync-delay", "0")
	for _, offset := range []string{"9223372036854775807", "-9223372036854775808"} {
		w := dial(t, v.Port())
		w.say("PSYNC ? -1\r\n")
		line := func(all []byte) bool { return bytes.Contains(all, []byte("\r\n")) } // the payload comes right behind it
		if got := w.hearUntil(line); !strings.Contains(got, "+FULLRESYNC ") {
			t.Fatalf("PSYNC is answered %.100q", got)
		}
		servertest.Await(t, "the replica to be online", func() bool { return strings.Contains(v.Info("slave0"), "state=online") })
		w.say(encode("REPLCONF", "ACK", offset))
		w.last()
		v.Must("SET", "key:1", "v")
		if got := v.Must("WAIT", "1", "100").Int; got != 0 {
			t.Errorf("WAIT counts %d replicas after the acknowledgement of %s", got, offset)
		}
		servertest.Await(t, "the liar to be forgotten", func() bool { return v.Info("connected_slaves") == "0" })
	}
	if !strings.Contains(v.Log(), "acknowledges offset 9223372036854775807, this server's stream ends at ") {
		t.Error("the log does not tell why the link was closed")
	}
	v.unharmed()
}

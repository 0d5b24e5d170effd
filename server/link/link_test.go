package link_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
)

func TestWrongPasswordThenTheRightOneByConfigSet(t *testing.T) {
	for _, real := range []bool{true, false} {
		t.Run(fmt.Sprint("real master=", real), func(t *testing.T) {
			var master Peer
			if real {
				master = StartRedis(t, "--requirepass", "secret")
			} else {
				master = Start(t, append(noDelay, "--requirepass", "secret")...)
			}
			master.Must("SET", "a", "1")
			replica := Start(t, "--masterauth", "wrong")
			replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
			Await(t, "the refusal", func() bool { return strings.Contains(replica.Log(), "Unable to AUTH to MASTER: -WRONGPASS") })
			if got := replica.Info("master_link_status"); got != "down" {
				t.Fatalf("link is %s with a wrong password", got)
			}
			replica.Must("CONFIG", "SET", "masterauth", "secret")
			AwaitLink(t, replica)
			// Rotation: the link that stands needs no password any more, and is not dropped.
			master.Must("CONFIG", "SET", "requirepass", "other")
			replica.Must("CONFIG", "SET", "masterauth", "other")
			master.Must("SET", "b", "2")
			MustAgree(t, master, replica)
			if full := master.Info("sync_full"); full != "1" {
				t.Errorf("sync_full %s after a rotation, predicted 1", full)
			}
		})
	}
}

func TestStaleDataOrMasterDown(t *testing.T) {
	master, replica := Start(t, noDelay...), Start(t)
	link := NewProxy(t, master.Port())
	master.Must("SET", "a", "1")
	replicate(t, replica, via(link))
	MustAgree(t, master, replica)
	link.Refuse(true)
	Await(t, "the link to be down", func() bool { return replica.Info("master_link_status") == "down" })
	if v := replica.Do("GET", "a"); string(v.Str) != "1" {
		t.Errorf("stale read: %s", v)
	}
	replica.Must("CONFIG", "SET", "replica-serve-stale-data", "no")
	if v := replica.Do("GET", "a"); !strings.HasPrefix(string(v.Str), "MASTERDOWN") {
		t.Errorf("read without stale data: %s", v)
	}
	if v := replica.Do("PING"); !strings.HasPrefix(string(v.Str), "MASTERDOWN") && v.IsError() {
		t.Errorf("PING: %s", v)
	}
	link.Refuse(false)
	Await(t, "the data to be served again", func() bool { return string(replica.Do("GET", "a").Str) == "1" })
	MustAgree(t, master, replica)
}

// TestOldDataIsServedUntilTheSwap: reads on the replica never fail and never see a mixture while a full sync comes in.
func TestOldDataIsServedUntilTheSwap(t *testing.T) {
	for _, load := range []string{"disabled", "swapdb"} {
		t.Run(load, func(t *testing.T) {
			replica := Start(t, "--repl-diskless-load", load)
			for i := range 200 {
				replica.Must("SET", "old:"+strconv.Itoa(i), "x")
			}
			master := Start(t, noDelay...)
			master.Must("DEBUG", "POPULATE", "20000", "new", "100")
			master.Must("CONFIG", "SET", "rdb-key-save-delay", "20000")
			slow := NewProxy(t, master.Port())
			slow.Slow(4 * time.Millisecond)
			replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(slow.Port()))
			Await(t, "the sync", func() bool { return replica.Info("master_sync_in_progress") == "1" })
			for reads := 0; ; reads++ {
				if reads == 50 { // of the old data: the rest may come
					master.Must("CONFIG", "SET", "rdb-key-save-delay", "0")
				}
				v := replica.Do("DBSIZE")
				if v.IsError() {
					t.Fatalf("a read failed during the full sync: %s", v)
				}
				if v.Int == 20000 && reads > 50 {
					break
				}
				if v.Int != 200 {
					t.Fatalf("DBSIZE %d is neither the old nor the new data set", v.Int)
				}
			}
			slow.Slow(0)
			AwaitLink(t, replica)
			MustAgree(t, master, replica)
		})
	}
}

// TestWritesDuringFullSyncs: several replicas join, early and late, while the master is written to; one link is slow.
func TestWritesDuringFullSyncs(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		t.Run("diskless="+diskless, func(t *testing.T) {
			master := Start(t, "--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
			fill(master, 3000)
			stop := writer(t, master.Port(), time.Now().UnixNano())
			slow := NewProxy(t, master.Port())
			slow.Slow(2 * time.Millisecond)
			replicas := []Peer{Start(t), StartRedis(t), Start(t, "--repl-diskless-load", "swapdb"), StartRedis(t, "--repl-diskless-load", "swapdb")}
			for i, r := range replicas {
				port := master.Port()
				if i < 2 {
					port = slow.Port()
				}
				r.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(port))
				time.Sleep(30 * time.Millisecond)
			}
			for _, r := range replicas {
				AwaitLink(t, r)
			}
			time.Sleep(200 * time.Millisecond)
			stop()
			MustAgree(t, append([]Peer{master}, replicas...)...)
			if full := master.Info("sync_full"); full != "4" {
				t.Errorf("sync_full %s, predicted 4", full)
			}
		})
	}
}

// TestOldSync speaks SYNC by hand: no +FULLRESYNC, a payload of known length, then the stream.
func TestOldSync(t *testing.T) {
	master := Start(t)
	master.Must("SET", "a", "1")
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(master.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("SYNC\r\n")); err != nil {
		t.Fatal(err)
	}
	r := resp.NewReader(conn).Buffered()
	line := "\n"
	for line == "\n" {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	size, err := strconv.Atoi(strings.Trim(line, "$\r\n"))
	if err != nil || size < 20 {
		t.Fatalf("header %q", line)
	}
	payload := make([]byte, size)
	for n := 0; n < size; {
		k, err := r.Read(payload[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	if !strings.HasPrefix(string(payload), "REDIS00") {
		t.Fatalf("payload begins with %q", payload[:9])
	}
	master.Must("SET", "b", "2")
	want := "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n"
	got := make([]byte, 0, len(want))
	for len(got) < len(want) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, b)
	}
	if string(got) != want {
		t.Errorf("stream %q", got)
	}
}

func TestWait(t *testing.T) {
	master := Start(t, bigBacklog...)
	link := NewProxy(t, master.Port())
	a, b := Start(t), StartRedis(t)
	replicate(t, a, via(link))
	replicate(t, b, master)
	master.Must("SET", "x", "1")
	if v := master.Must("WAIT", "2", "0"); v.Int != 2 {
		t.Fatalf("WAIT 2: %s", v)
	}
	link.Stall(true)
	master.Must("SET", "x", "2")
	if v := master.Must("WAIT", "1", "0"); v.Int != 1 { // else it may take longer than what is waited for next
		t.Errorf("WAIT 1: %s", v)
	}
	start := time.Now()
	if v := master.Must("WAIT", "2", "300"); v.Int != 1 {
		t.Errorf("WAIT 2 with a stalled replica: %s", v)
	}
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("WAIT took %v, its timeout is 300 ms", took)
	}
	link.Stall(false)
	if v := master.Must("WAIT", "2", "0"); v.Int != 2 {
		t.Errorf("WAIT 2 after the stall: %s", v)
	}
	if v := a.Do("WAIT", "1", "0"); !strings.Contains(string(v.Str), "WAIT cannot be used with replica instances") {
		t.Errorf("WAIT on a replica: %s", v)
	}
	// In one batch: the write before WAIT counts.
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(master.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	link.Stall(true)
	fmt.Fprintf(conn, "SET x 3\r\nWAIT 2 200\r\n")
	r := resp.NewReader(conn)
	_, _ = r.Read()
	if v, err := r.Read(); err != nil || v.Int == 2 {
		t.Errorf("WAIT in a pipeline did not wait for the write before it: %s %v", v, err)
	}
	link.Stall(false)
	MustAgree(t, master, a, b)
}

func TestMinReplicasToWrite(t *testing.T) {
	master := Start(t, append(noDelay, "--min-slaves-to-write", "1", "--min-slaves-max-lag", "2")...)
	if v := master.Do("SET", "a", "1"); !strings.HasPrefix(string(v.Str), "NOREPLICAS") {
		t.Fatalf("write without replicas: %s", v)
	}
	replica := Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, replica, via(link))
	Await(t, "the replica to count", func() bool { return !master.Do("SET", "a", "1").IsError() })
	link.Stall(true)
	Await(t, "the lag to count", func() bool { return master.Do("SET", "a", "2").IsError() })
	master.Must("CONFIG", "SET", "min-slaves-max-lag", "1000")
	if v := master.Do("SET", "a", "2"); v.IsError() {
		t.Errorf("another lag does not count at once: %s", v)
	}
	master.Must("CONFIG", "SET", "min-slaves-max-lag", "2")
	if v := master.Do("SET", "a", "2"); !v.IsError() {
		t.Error("nor does the lag before that again")
	}
	link.Stall(false)
	Await(t, "the replica to count again", func() bool { return !master.Do("SET", "a", "3").IsError() })
	MustAgree(t, master, replica)
}

// TestTimeoutsBreakAStalledLink, and what was missed comes by a partial resync.
func TestTimeoutsBreakAStalledLink(t *testing.T) {
	master, replica := Start(t, append(bigBacklog, "--repl-ping-replica-period", "1")...), Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, replica, via(link))
	MustAgree(t, master, replica)
	timeout := func(seconds string) { // short while the link is stalled only: a busy machine may be silent for as long
		master.Must("CONFIG", "SET", "repl-timeout", seconds)
		replica.Must("CONFIG", "SET", "repl-timeout", seconds)
	}
	link.Stall(true)
	timeout("2")
	master.Must("SET", "missed", "1")
	Await(t, "the replica to notice", func() bool { return strings.Contains(replica.Log(), "MASTER timeout: no data nor PING received...") })
	Await(t, "the master to notice", func() bool { return master.Info("connected_slaves") == "0" })
	timeout("60")
	link.Stall(false)
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
	if got := master.Info("sync_full") + " " + master.Info("sync_partial_ok"); !strings.HasPrefix(got, "1 ") || got == "1 0" {
		t.Errorf("full and partial syncs: %s", got)
	}
}

func TestBacklogEndsWithItsTTL(t *testing.T) {
	master, replica := Start(t, append(noDelay, "--repl-backlog-ttl", "1")...), Start(t)
	replicate(t, replica, master)
	id := master.Info("master_replid")
	replica.Must("REPLICAOF", "NO", "ONE")
	Await(t, "the backlog to be freed", func() bool { return master.Info("repl_backlog_active") == "0" })
	if master.Info("master_replid") == id {
		t.Error("the history ended, its replication ID did not")
	}
	master.Must("SET", "not", "counted")
	replicate(t, replica, master)
	MustAgree(t, master, replica)
}

// TestASlowReplicaIsDroppedNeverAWrite: the output limit ends the link of a replica that cannot follow.
func TestASlowReplicaIsDroppedNeverAWrite(t *testing.T) {
	master := Start(t, append(noDelay, "--client-output-buffer-limit", "replica", "2mb", "0", "0", "--repl-backlog-size", "1mb")...)
	replica := Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, replica, via(link))
	link.Stall(true)
	value := strings.Repeat("x", 100<<10)
	for i := range 200 {
		master.Must("SET", "k"+strconv.Itoa(i%10), value)
	}
	Await(t, "the replica to be dropped", func() bool {
		return strings.Contains(master.Log(), "scheduled to be closed ASAP for overcoming of output buffer limits")
	})
	link.Stall(false)
	AwaitLink(t, replica)
	Await(t, "a second full sync", func() bool { return master.Info("sync_full") == "2" })
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
}

func TestAReplicaOfItselfIsHarmless(t *testing.T) {
	s := Start(t)
	s.Must("SET", "a", "1")
	s.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(s.Port()))
	Await(t, "the refusal", func() bool { return strings.Contains(s.Log(), "-NOMASTERLINK") })
	if v := s.Do("GET", "a"); string(v.Str) != "1" {
		t.Errorf("GET: %s", v)
	}
	s.Must("REPLICAOF", "NO", "ONE")
	s.Must("SET", "a", "2")
}

// TestASyncIsABackgroundSave for INFO, as tools and test suites look for it there.
func TestASyncIsABackgroundSave(t *testing.T) {
	master, replica := StartProcess(t, append(noDelay, "--rdb-key-save-delay", "500000")...), Start(t)
	for i := range 4 {
		master.Must("SET", "k"+strconv.Itoa(i), "v")
	}
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	Await(t, "the sync to show", func() bool { return master.Info("rdb_bgsave_in_progress") == "1" })
	AwaitLink(t, replica)
	Await(t, "the sync to end", func() bool { return master.Info("rdb_bgsave_in_progress") == "0" })
	MustAgree(t, master, replica)
}

// TestAMasterThatHangsGivesNoSignOfLife: a replica in the handshake gives up after its repl-timeout.
func TestAMasterThatHangsGivesNoSignOfLife(t *testing.T) {
	master := Start(t, "--repl-diskless-sync-delay", "1000", "--enable-debug-command", "yes")
	replica := Start(t, "--repl-timeout", "2")
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	Await(t, "the handshake", func() bool { return strings.Contains(master.Log(), "asks for synchronization") })
	if v := master.Do("DEBUG", "SLEEP", "4"); v.IsError() {
		t.Fatal(v)
	}
	Await(t, "the replica to notice that its master hung for twice repl-timeout", func() bool {
		return strings.Contains(replica.Log(), "Timeout connecting to the MASTER")
	})
}

// TestInfoTellsTheMemoryOfTheStream, which grows with what a replica holds back and not with the number of replicas.
func TestInfoTellsTheMemoryOfTheStream(t *testing.T) {
	master, a, b := Start(t, append(noDelay, "--repl-backlog-size", "16kb")...), Start(t), Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, a, via(link))
	replicate(t, b, master)
	number := func(field string) int {
		t.Helper()
		n, err := strconv.Atoi(master.Info(field))
		if err != nil {
			t.Fatalf("INFO %s: %v", field, err)
		}
		return n
	}
	before := number("mem_total_replication_buffers")
	link.Stall(true)
	for range 64 {
		master.Must("SET", "k", strings.Repeat("v", 100<<10))
	}
	if got := number("mem_total_replication_buffers") - before; got < 2<<20 || got > 8<<20 {
		t.Errorf("6.4 MB for a stalled replica are told as %d bytes", got)
	}
	if got, limit := number("mem_replication_backlog"), 16<<10; got > limit {
		t.Errorf("a backlog of %d bytes, its size is %d", got, limit)
	}
	link.Stall(false)
	MustAgree(t, master, a, b)
}

// TestReloadLeavesNothingOutSilently: a key that has expired, and is not deleted yet, when DEBUG RELOAD loads the data anew is not
// gone before the replicas are told so: what is written to it afterwards would find the old value there.
func TestReloadLeavesNothingOutSilently(t *testing.T) {
	master, replica := StartProcess(t, noDelay...), Start(t)
	replicate(t, replica, master)
	master.Must("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	master.Must("SADD", "set", "old")
	Await(t, "the set", func() bool { return replica.Do("SCARD", "set").Int == 1 }) // else it is gone there before it has come
	master.Must("PEXPIRE", "set", "1")
	Await(t, "the expiry", func() bool { return replica.Do("SCARD", "set").Int == 0 })
	master.Must("DEBUG", "RELOAD")
	master.Must("SADD", "set", "new")
	MustAgree(t, master, replica)
	if got := replica.Must("SMEMBERS", "set").String(); got != "*[new]" && got != `*["new"]` {
		t.Errorf("the replica has %s", got)
	}
}

// TestReloadUnderLoad: DEBUG RELOAD saves, empties and loads as one command among those of other clients: none is lost, none is doubled,
// and no replica notices.
func TestReloadUnderLoad(t *testing.T) {
	master, ours, real := StartProcess(t, bigBacklog...), Start(t), StartRedis(t)
	fill(master, 300)
	replicate(t, ours, master)
	replicate(t, real, master)
	stop := writer(t, master.Port(), time.Now().UnixNano())
	counted := make(chan int64)
	go func() {
		c := Dial(t, master.Port(), "")
		defer c.Close()
		n := int64(0)
		for end := time.Now().Add(time.Second); time.Now().Before(end); n++ {
			c.Do("RPUSH", "counted", "x")
		}
		counted <- n
	}()
	n := int64(-1)
	for n < 0 {
		master.Must("DEBUG", "RELOAD")
		select {
		case n = <-counted:
		case <-time.After(30 * time.Millisecond):
		}
	}
	stop()
	MustAgree(t, master, ours, real)
	if got := master.Must("LLEN", "counted").Int; got != n {
		t.Errorf("%d elements of %d", got, n)
	}
	if full := master.Info("sync_full"); full != "2" {
		t.Errorf("%s full syncs, want the first two", full)
	}
}

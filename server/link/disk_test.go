package link_test

import (
	"strconv"
	"strings"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
)

// writeMuch writes n MiB over ten keys.
func writeMuch(s *Server, n int) {
	value := strings.Repeat("x", 128<<10)
	for i := range 8 * n {
		s.Must("SET", "k"+strconv.Itoa(i%10), value+strconv.Itoa(i))
	}
}

func diskBytes(s *Server) int {
	n, _ := strconv.Atoi(s.Info("repl_disk_backlog_bytes"))
	return n
}

var tight = append([]string{"--client-output-buffer-limit", "replica", "2mb", "0", "0", "--repl-backlog-size", "1mb"}, noDelay...)

// TestASlowReplicaIsServedFromDisk: with disk segments the output limit, which counts memory, does not end the link of a
// replica that cannot follow, be it while it syncs or later.
func TestASlowReplicaIsServedFromDisk(t *testing.T) {
	master := Start(t, append(tight, "--repl-disk-backlog-size", "1gb")...)
	replica := Start(t)
	for i := range 1000 { // the sync lasts until it is let go
		master.Must("SET", "old"+strconv.Itoa(i), "v")
	}
	master.Must("CONFIG", "SET", "rdb-key-save-delay", "200000")
	link := NewProxy(t, master.Port())
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(link.Port()))
	Await(t, "the sync to begin", func() bool { return master.Info("sync_full") == "1" })
	writeMuch(master, 60)
	Await(t, "the disk to be used during the sync", func() bool { return diskBytes(master) > 16<<20 })
	master.Must("CONFIG", "SET", "rdb-key-save-delay", "0")
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
	link.Stall(true)
	writeMuch(master, 60)
	Await(t, "the disk to be used", func() bool { return diskBytes(master) > 16<<20 })
	link.Stall(false)
	MustAgree(t, master, replica)
	if n := master.Info("sync_full"); n != "1" {
		t.Errorf("%s full syncs, want 1", n)
	}
	Await(t, "the disk to be given back", func() bool { return diskBytes(master) <= 32<<20 })
}

// TestAFullDiskDropsTheReplicaNeverAWrite, and the log says why.
func TestAFullDiskDropsTheReplicaNeverAWrite(t *testing.T) {
	master := Start(t, append(tight, "--repl-disk-backlog-size", "20mb")...)
	replica := Start(t)
	link := NewProxy(t, master.Port())
	replicate(t, replica, via(link))
	link.Stall(true)
	writeMuch(master, 60)
	Await(t, "the replica to be dropped", func() bool {
		return strings.Contains(master.Log(), "is disconnected: oplog: the replica is too far behind: repl-disk-backlog-size (20971520 bytes) is full")
	})
	link.Stall(false)
	Await(t, "a second full sync", func() bool { return master.Info("sync_full") == "2" })
	AwaitLink(t, replica)
	MustAgree(t, master, replica)
}

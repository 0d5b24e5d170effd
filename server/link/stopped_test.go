//go:build linux

package link_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
	"golang.org/x/sys/unix"
)

// crowd keeps a processor busy, and lets the first thread of a process run there and nowhere else, and only when nobody else wants it:
// so a signal for that process waits, though its other threads go on.
func crowd(t *testing.T, pid int) {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !allowed.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(pid, &one); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		hog := exec.Command("sh", "-c", "while :; do :; done")
		if err := hog.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = hog.Process.Kill(); _ = hog.Wait() })
		if err := unix.SchedSetaffinity(hog.Process.Pid, &one); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoppedReplicaAcknowledgesNothing: what is written after a replica has got SIGSTOP is acknowledged after SIGCONT only, however
// late the first of its threads learns of the signal.
func TestStoppedReplicaAcknowledgesNothing(t *testing.T) {
	master, replica := StartProcess(t, noDelay...), StartProcess(t)
	replicate(t, replica, master)
	AwaitLink(t, replica)
	Await(t, "the replica to be online", func() bool { return strings.Contains(master.Info("slave0"), "state=online") })
	crowd(t, replica.Pid())
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(replica.Pid(), s); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 50 {
		signal(syscall.SIGSTOP)
		master.Must("INCR", "n")
		acked := master.Must("WAIT", "1", "20").Int
		signal(syscall.SIGCONT)
		if acked != 0 {
			t.Errorf("round %d: acknowledged by %d replicas, the only one was stopped before", round, acked)
		}
		if n := master.Must("WAIT", "1", "0").Int; n != 1 {
			t.Fatalf("round %d: acknowledged by %d replicas, the only one goes on", round, n)
		}
	}
	MustAgree(t, master, replica)
}

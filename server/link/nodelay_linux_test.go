package link_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	. "github.com/understudy-db/understudy/server/servertest"
)

var replicaAddr = regexp.MustCompile(`addr=127\.0\.0\.1:(\d+)`)

// TestDelayOfTheLink: repl-disable-tcp-nodelay is an option of the master's socket, from the next link on.
func TestDelayOfTheLink(t *testing.T) {
	for value, want := range map[string]int{"no": 1, "yes": 0} {
		master, replica := Start(t, append(noDelay, "--repl-disable-tcp-nodelay", value)...), Start(t)
		replicate(t, replica, master)
		var port int
		Await(t, "the replica in CLIENT LIST", func() bool {
			m := replicaAddr.FindStringSubmatch(string(master.Must("CLIENT", "LIST", "TYPE", "replica").Str))
			if m != nil {
				port, _ = strconv.Atoi(m[1])
			}
			return m != nil
		})
		if got := noDelayOf(t, master.Port(), port); got != want {
			t.Errorf("repl-disable-tcp-nodelay %s: TCP_NODELAY is %d", value, got)
		}
	}
}

// noDelayOf is TCP_NODELAY of this process's socket between two ports, -1 when there is none.
func noDelayOf(t *testing.T, local, remote int) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	port := func(a unix.Sockaddr, err error) int {
		switch a := a.(type) {
		case *unix.SockaddrInet4:
			return a.Port
		case *unix.SockaddrInet6:
			return a.Port
		}
		return -1
	}
	for _, entry := range open {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || port(unix.Getsockname(fd)) != local || port(unix.Getpeername(fd)) != remote {
			continue
		}
		v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return -1
}

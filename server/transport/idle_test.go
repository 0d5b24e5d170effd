package transport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const crowd = 10000

// TestMain makes the test binary the crowd's process when it is asked to: one process cannot hold both ends of so many
// connections.
func TestMain(m *testing.M) {
	if addr := os.Getenv("IDLE_CROWD"); addr != "" {
		if err := beCrowd(addr); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beCrowd(addr string) error {
	conns := make([]net.Conn, 0, crowd)
	for range crowd {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		if _, err := c.Write([]byte("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n")); err != nil {
			return err
		}
		conns = append(conns, c)
	}
	var buf [11]byte
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, buf[:]); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Max < crowd+200 {
		t.Fatalf("NOT RUN: %d descriptors are needed, the limit is %d: raise it with ulimit -n", crowd+200, lim.Max)
	}
	r := newRig(t, rigOptions{config: "maxclients 20000\n"})
	before := heap()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "IDLE_CROWD="+r.addr)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the crowd: %q, %v", line, err)
	}
	each := (heap() - before) / crowd
	t.Logf("an idle connection costs %d bytes of heap", each)
	if each > 1500 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	c := dial(t, r.addr)
	want(t, c.do("PING"), "PONG")
	if n := r.s.Count(); n != crowd+1 {
		t.Fatalf("%d sessions, want %d", n, crowd+1)
	}
}

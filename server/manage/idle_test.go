package manage

import (
	"bufio"
	"crypto/tls"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage/mtls"
)

const (
	idleConns   = 32
	idleAddress = "UNDERSTUDY_TEST_IDLE_ADDRESS"
	idleCerts   = "UNDERSTUDY_TEST_IDLE_CERTS"
)

// TestIdleClients is no test of its own: it is the other end of TestIdleConnectionsAreCheap, in a process of its own, so that
// its memory is not counted.
func TestIdleClients(t *testing.T) {
	addr := os.Getenv(idleAddress)
	if addr == "" {
		return // this process is the test, not its helper
	}
	id, err := mtls.New(os.Getenv(idleCerts), setUID)
	if err != nil {
		t.Fatal(err)
	}
	for range idleConns {
		nc, err := tls.Dial("tcp", addr, id.ClientConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		line, err := member.Encode(member.Frame{ID: 1, Message: member.Hello{Oldest: 1, Newest: 1, Leader: "op", SetUID: setUID}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(line); err != nil {
			t.Fatal(err)
		}
		r := member.NewReader(nc)
		for range 2 { // hello and report
			if _, err := member.ReadFrame(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	os.Stdout.WriteString("idle\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestIdleConnectionsAreCheap measures what this side of idle connections holds: heap and stacks, TLS included.
func TestIdleConnectionsAreCheap(t *testing.T) {
	w := newWorld(t, nil, nil)
	measure := func() int64 {
		for range 6 { // a stack that is mostly free is halved by each collection
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := measure()
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleClients$", "-test.v")
	cmd.Env = append(os.Environ(), idleAddress+"="+w.addr, idleCerts+"="+w.ca.Dir("understudy://"+setUID+"/operator"))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the other end: %q %v", line, err)
		}
		if line == "idle\n" {
			break
		}
	}
	per := (measure() - before) / idleConns
	t.Logf("%d bytes per idle connection on the server's side", per)
	if per > idleLimit {
		t.Errorf("%d bytes per idle connection, more than %d", per, idleLimit)
	}
}

// idleLimit is a fifth above what was measured: 17 KiB, of which 11 KiB are crypto/tls' (record buffers 3.5, the peer's
// parsed certificate 2.7, two AES-GCM states 1.8, the connection itself) and 5 KiB the stack of the goroutine that waits.
// Ours are 300 bytes: the buffer of 4 KiB is held only while a line is read.
const idleLimit = 20 << 10

// TestLinesThatComeTogether: what was read with the hello, or behind the byte that ended the wait, is not lost.
func TestLinesThatComeTogether(t *testing.T) {
	w := newWorld(t, nil, nil)
	c := w.dial("understudy://" + setUID + "/operator")
	var lines []byte
	for id, m := range []member.Message{member.Hello{Oldest: 1, Newest: 1, Leader: "op", SetUID: setUID}, member.Ask{}, member.Ask{}} {
		line, err := member.Encode(member.Frame{ID: uint64(id + 1), Message: m})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line...)
	}
	if _, err := c.nc.Write(append(lines, lines[len(lines)-1])); err != nil { // and an empty line, which ends the conversation
		t.Fatal(err)
	}
	answered := map[uint64]bool{}
	for !answered[1] || !answered[2] || !answered[3] {
		answered[c.next().Re] = true
	}
}

package servertest

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestProxyBreaksWhatItIsDialling: a link that is cut or closed at the moment at which it lets somebody in leaves no
// connection behind, to a server that says nothing and never hangs up.
func TestProxyBreaksWhatItIsDialling(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	for round := range 300 {
		p := NewProxy(t, silent.Addr().(*net.TCPAddr).Port)
		c, err := net.Dial("tcp", p.l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * time.Microsecond / 2)
		if round%2 == 0 {
			p.Refuse(true)
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("round %d: after the cut: %v", round, err)
			}
		}
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(patience):
			t.Fatalf("round %d: Close waits for a connection", round)
		}
		c.Close()
	}
}

package link

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest/pki"
)

// TestPumpOverTLSDoesNotGather: Read of a TLS connection returns a record at a time, so a wait after each would bound a full sync, and
// the stream, to some megabyte a second.
func TestPumpOverTLSDoesNotGather(t *testing.T) {
	authority := pki.New(t)
	dir := authority.Dir("understudy://test/peer")
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	master := tls.Server(there, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
	const records, record = 1000, 16 << 10
	go func() {
		defer master.Close()
		_, _ = master.Write(make([]byte, records*record)) // what is missing is counted below
	}()
	began, came := time.Now(), atomic.Int64{}
	c := &masterConn{Conn: tls.Client(here, authority.Client("")), came: &came, in: make(chan chunk, readBuffers+1),
		free: make(chan []byte, readBuffers), now: func() time.Duration { return time.Since(began) + time.Hour }}
	for range readBuffers {
		c.free <- make([]byte, readSize)
	}
	go c.pump()
	for k := range c.in {
		if k.err != nil {
			break
		}
		c.free <- k.p[:cap(k.p)]
	}
	if got := came.Load(); got != records*record {
		t.Errorf("%d bytes came, want %d", got, records*record)
	}
	if took := time.Since(began); took > records*gatherFor/2 {
		t.Errorf("%d records took %v", records, took)
	}
}

// Package port finds TCP ports for servers that tests start as processes of their own.
//
// A port that the kernel picks (":0") lies in the range from which it also serves outgoing connections, so that another
// test's client may take it before the server listens. Ports below that range are only taken by who asks for them. Processes
// that ask at the same time look in different parts of it first, since between the look and the server's listening there is
// time enough on a busy machine.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
)

// Below Linux' default net.ipv4.ip_local_port_range.
const (
	lowest, above = 12000, 32000
	parts         = 50 // of the range: a process begins in the one that its number says
	each          = (above - lowest) / parts
)

// given are the ports that this process has been given: a server may not listen on its own yet.
var given sync.Map

// Free is a port on 127.0.0.1 that nobody listens on.
func Free(t testing.TB) int {
	t.Helper()
	for i := range 1000 {
		p := lowest + rand.IntN(above-lowest)
		if i < each {
			p = lowest + os.Getpid()%parts*each + rand.IntN(each)
		}
		if _, before := given.LoadOrStore(p, true); before {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err == nil {
			l.Close()
			return p
		}
	}
	t.Fatal("no free port below the range of outgoing connections")
	return 0
}

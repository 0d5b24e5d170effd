package transport

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// long is a server of one loop with a command, EVAL, that goes on until it is told to end.
type long struct {
	*rig
	mute func() // others are not let in any more; call it while EVAL runs
	end  func() // it returns
}

func newLong(t *testing.T, o rigOptions) *long {
	mute, muted, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	closeMute := sync.OnceFunc(func() { close(mute) })
	l := &long{end: sync.OnceFunc(func() { close(end) })}
	l.mute = func() {
		closeMute()
		<-muted // whoever is being served has been
	}
	eval := func(r *rig) command.Handler {
		return func(ctx *command.Ctx) {
			nest := r.e.NestIn(ctx)
			defer nest.End()
			defer nest.Resume()
			for {
				select {
				case <-mute:
					close(muted)
					<-end
					ctx.Out.Simple("DONE")
					return
				default:
					nest.Breathe("BUSY a test")
				}
			}
		}
	}
	o.attach = func(r *rig, table *command.Table) { table.Attach("EVAL", eval(r)) }
	l.rig = newRig(t, o)
	t.Cleanup(func() {
		closeMute()
		l.end()
	})
	return l
}

// answered reads a reply to a command that was executed in the middle of the long one, or had come before it.
func answered(t *testing.T, c *client) {
	t.Helper()
	if got := c.reply(); !strings.Contains(got, "BUSY") && !strings.Contains(got, "vvv") && got != "PONG" && !strings.Contains(got, "wrong number") {
		t.Fatalf("answered with %s", got)
	}
}

// TestLongCommandHearsPipelines: what one read leaves is read while a command of another client goes on, too, and so is what crypto/tls has
// taken from the socket and a read left there.
func TestLongCommandHearsPipelines(t *testing.T) {
	config := pki.New(t).Client("understudy://test/tls")
	l := newLong(t, rigOptions{tls: func() *tls.Config { return &tls.Config{Certificates: config.Certificates} }})
	secure, err := l.server.ListenTLS(netip.MustParseAddrPort("127.0.0.1:0"), 511)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := tls.Dial("tcp", secure.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	a, clients := dial(t, l.addr), []*client{dial(t, l.addr), newClient(t, nc)}
	for _, c := range clients {
		want(t, c.do("PING"), "PONG")
	}
	a.send("EVAL", "", "0")
	const commands = 5 * readSize / 64
	for _, c := range clients {
		c.raw(strings.Repeat(ping64, commands))
		for range commands {
			answered(t, c)
		}
	}
	l.mute()
	l.end()
	want(t, a.reply(), "DONE")
}

// ping64 is a request of 64 bytes.
var ping64 = "PING " + strings.Repeat("v", 64-len("PING \r\n")) + "\r\n"

// greeted dials n clients of which the server has heard.
func greeted(t *testing.T, addr string, n int) (list []*client) {
	for range n {
		c := dial(t, addr)
		want(t, c.do("PING"), "PONG")
		list = append(list, c)
	}
	return list
}

// TestLongCommandInTheMiddleOfATurn: so much comes at once that a part of it is executed before the rest is looked at, and among it is a
// command that goes on for long. The others are answered.
func TestLongCommandInTheMiddleOfATurn(t *testing.T) {
	l := newLong(t, rigOptions{})
	a := dial(t, l.addr)
	others := greeted(t, l.addr, 2*batchBytes/readSize)
	busy := dial(t, l.addr)
	busy.send("DEBUG", "SLEEP", "0.2")
	time.Sleep(50 * time.Millisecond) // it is what the loop does
	a.send("EVAL", "", "0")
	for _, c := range others {
		c.raw(strings.Repeat(ping64, readSize/64))
	}
	for _, c := range others {
		answered(t, c)
	}
	l.mute()
	l.end()
	want(t, a.reply(), "DONE")
}

// TestLongCommandServesWhoWasAboutToBeRead: the connection for which there was no room before the batch was executed sends more meanwhile.
func TestLongCommandServesWhoWasAboutToBeRead(t *testing.T) {
	l := newLong(t, rigOptions{})
	a := dial(t, l.addr)
	others := greeted(t, l.addr, batchBytes/readSize+1)
	busy := dial(t, l.addr)
	busy.send("DEBUG", "SLEEP", "0.2")
	time.Sleep(50 * time.Millisecond) // it is what the loop does
	a.send("EVAL", "", "0")
	for _, c := range others {
		c.raw(strings.Repeat(ping64, readSize/64))
	}
	for _, c := range others {
		for range readSize / 64 {
			answered(t, c)
		}
	}
	for _, c := range others {
		c.raw("PING\r\n*2\r\n$4\r\nPI")
		answered(t, c)
	}
	l.mute()
	for i, c := range others {
		c.raw(fmt.Sprintf("NG\r\n$1\r\n%d\r\n", i))
	}
	l.end()
	want(t, a.reply(), "DONE")
	for i, c := range others {
		want(t, c.reply(), fmt.Sprintf("%q", fmt.Sprint(i)))
		want(t, c.do("PING"), "PONG")
	}
}

// TestLongCommandHearsFarReachers: a connection's reads may ask for more than the stand-in has room for, behind what is there of a command.
func TestLongCommandHearsFarReachers(t *testing.T) {
	l := newLong(t, rigOptions{})
	a, c := dial(t, l.addr), dial(t, l.addr)
	const there = 64 << 10
	arg := strings.Repeat("v", there-len("*3\r\n$4\r\nPING\r\n$65500\r\n"))
	c.raw(fmt.Sprintf("*3\r\n$4\r\nPING\r\n$%d\r\n%s", len(arg), arg))
	for known := 0; known != there; {
		l.onLoop(func(l *loop) {
			for _, c := range l.conns {
				if c != nil && len(c.query) == there {
					known, c.reach = there, arenaSize
				}
			}
		})
	}
	a.send("EVAL", "", "0")
	time.Sleep(50 * time.Millisecond) // it runs
	c.raw("\r\n$1\r\n1\r\n")
	answered(t, c)
	l.mute()
	l.end()
	want(t, a.reply(), "DONE")
}

// TestArenaIsFreeAgainAfterABatchOfNobody: connections may be closed at once for what they sent, a request of another member that is none; the arena
// forgets it even if nobody else has sent anything.
func TestArenaIsFreeAgainAfterABatchOfNobody(t *testing.T) {
	r := newRig(t, rigOptions{})
	c := dial(t, r.addr)
	for _, used := range []int{batchBytes, arenaSize - readSize/2, arenaSize} {
		r.onLoop(func(l *loop) { l.used = used })
		want(t, c.do("PING"), "PONG")
	}
}

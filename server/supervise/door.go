package supervise

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage/mtls"
)

const helloTimeout = 5 * time.Second

// door answers on the management listener while no server process does. Whoever says Hello is told who lived here and
// every proof of death; any order is refused, for there is nobody to carry it out.
type door struct {
	ln       *net.TCPListener
	config   *tls.Config
	identity member.Identity // without incarnation

	mu     sync.Mutex
	open   bool
	deaths []member.Death
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newDoor(ln *net.TCPListener, id *mtls.Identity, who member.Identity, deaths []member.Death) *door {
	return &door{ln: ln, config: id.ServerConfig(), identity: who, deaths: deaths, conns: map[net.Conn]struct{}{}}
}

// Open begins to accept. It returns at once.
func (d *door) Open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return
	}
	d.open = true
	d.ln.SetDeadline(time.Time{})
	d.wg.Go(d.accept)
}

// Close stops accepting and ends every connection: their owners dial again and meet the child.
func (d *door) Close() {
	d.mu.Lock()
	if !d.open {
		d.mu.Unlock()
		return
	}
	d.open = false
	d.ln.SetDeadline(time.Unix(1, 0)) // wakes Accept; the listener itself is shared with the child
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

func (d *door) accept() {
	for {
		c, err := d.ln.Accept()
		d.mu.Lock()
		if !d.open {
			d.mu.Unlock()
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil {
			d.mu.Unlock()
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		d.conns[c] = struct{}{}
		d.wg.Go(func() { d.serve(c) })
		d.mu.Unlock()
	}
}

func (d *door) serve(raw net.Conn) {
	defer func() {
		d.mu.Lock()
		delete(d.conns, raw)
		d.mu.Unlock()
		raw.Close()
	}()
	c := tls.Server(raw, d.config)
	raw.SetDeadline(time.Now().Add(helloTimeout))
	if c.Handshake() != nil {
		return
	}
	r := member.NewReader(c)
	first, err := member.ReadFrame(r)
	if err != nil {
		return
	}
	hello, ok := first.Message.(member.Hello)
	if !ok {
		_ = d.send(c, member.Frame{Re: first.ID, Message: member.Refusal{Code: member.RefusedInvalid, Why: "a conversation begins with hello"}})
		return
	}
	if _, no := member.Negotiate(hello); no != nil {
		_ = d.send(c, member.Frame{Re: first.ID, Message: *no}) // heard or not, it ends here
		return
	}
	if d.greet(c, first.ID) != nil {
		return
	}
	raw.SetReadDeadline(time.Time{})
	for {
		f, err := member.ReadFrame(r)
		if err != nil {
			return
		}
		no := member.Refusal{Code: member.RefusedRole, Why: "no server process runs; the supervisor starts it again, parked"}
		if d.send(c, member.Frame{Re: f.ID, Message: no}) != nil {
			return
		}
	}
}

// greet says Hello for the last process that ran here, and tells every proof.
func (d *door) greet(c net.Conn, re uint64) error {
	d.mu.Lock()
	deaths := append([]member.Death(nil), d.deaths...)
	who := d.identity
	d.mu.Unlock()
	if n := len(deaths); n > 0 {
		who.Incarnation = deaths[n-1].Identity.Incarnation
	}
	hello := member.Hello{Oldest: member.OldestVersion, Newest: member.ProtocolVersion, Member: &who, SetUID: who.SetUID, Supervisor: true}
	if err := d.send(c, member.Frame{Re: re, Message: hello}); err != nil {
		return err
	}
	for _, death := range deaths {
		if err := d.send(c, member.Frame{Message: death}); err != nil {
			return err
		}
	}
	return nil
}

func (d *door) send(c net.Conn, f member.Frame) error {
	line, err := member.Encode(f)
	if err != nil {
		return err
	}
	c.SetWriteDeadline(time.Now().Add(helloTimeout))
	_, err = c.Write(line)
	return err
}

// died adds a proof and returns all that are kept.
func (d *door) died(death member.Death) []member.Death {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaths = append(d.deaths, death)
	if len(d.deaths) > keptDeaths {
		d.deaths = d.deaths[len(d.deaths)-keptDeaths:]
	}
	return append([]member.Death(nil), d.deaths...)
}

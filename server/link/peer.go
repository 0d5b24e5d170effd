package link

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/settings"
)

// peer is one replica of this server: its machine, and after SYNC or PSYNC the connection with two goroutines, a reader
// for acknowledgements and a writer for everything that is sent.
type peer struct {
	n      *Node
	m      *repl.Peer // guarded by Node.mu
	addr   string     // remote IP
	num    int64      // of the client
	member bool       // introduced itself by REPLCONF MEMBER
	banned string     // why REPLCONF MEMBER was refused, "" when it was not

	// Guarded by Node.mu.
	pend      []byte // to be written before anything else
	job       job    // the payload, once
	cursor    *oplog.Cursor
	streaming bool
	live      *liveFeed
	conn      net.Conn
	closed    bool
	heard     bool        // its PSYNC FAILOVER has waited for the rest of the stream
	overSince repl.Millis // since when the soft output limit is exceeded, 0 when it is not

	wake chan struct{}
}

// job is work for the writer: run in its turn, or dropped when the connection ends first.
type job interface {
	run(conn net.Conn) error
	drop()
}

// maxWrite bounds one write of stream bytes.
const maxWrite = 256 << 10

// peerOf is the peer behind a client, made at its first REPLCONF, SYNC or PSYNC. Node.mu must be held.
func (n *Node) peerOf(c *engine.Client) *peer {
	if p, ok := c.Link.(*peer); ok {
		return p
	}
	host, _, err := net.SplitHostPort(c.Owner.RemoteAddr())
	if err != nil {
		host = c.Owner.RemoteAddr()
	}
	p := &peer{n: n, m: repl.NewPeer("client id #" + itoa(c.Num)), addr: host, num: c.Num, wake: make(chan struct{}, 1)}
	c.Link = p
	return p
}

// name is what log lines call the replica.
func (p *peer) name() string {
	if p.m.Port() == 0 {
		return p.m.Name
	}
	return net.JoinHostPort(p.ip(), strconv.Itoa(p.m.Port()))
}

func (p *peer) ip() string {
	if p.m.IP() != "" {
		return p.m.IP()
	}
	return p.addr
}

// act performs effects; Node.mu must be held.
func (p *peer) act(es []repl.Effect) {
	for _, e := range es {
		switch e := e.(type) {
		case repl.Log:
			p.n.logf(e.Level, e.Text)
		case repl.Send:
			p.pend = append(p.pend, e.Data...)
		case repl.OpenCursor:
			c, err := p.n.log.Replica(e.Offset)
			if err != nil {
				panic("link: cursor at a place that was just promised: " + err.Error())
			}
			p.cursor = c
		case repl.StartStream:
			p.streaming = true
		case repl.SendFile:
			p.pend = append(p.pend, e.Header...)
		case repl.SendLive:
			p.pend = append(p.pend, e.Header...)
		case repl.Hangup:
			p.hangup()
		}
	}
	p.wakeUp()
}

func (p *peer) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hangup ends the connection; Node.mu must be held. The goroutines clean up.
func (p *peer) hangup() {
	p.closed = true
	if p.conn != nil {
		p.conn.Close()
	}
	p.wakeUp()
}

// serve owns the connection from SYNC or PSYNC on. It runs in a goroutine of its own.
func (p *peer) serve(conn net.Conn, unread []byte) {
	n := p.n
	n.mu.Lock()
	p.conn = conn
	if n.ctx.Err() != nil {
		p.closed = true
	}
	closed := p.closed
	n.mu.Unlock()
	if tcp, ok := conn.(interface{ SetNoDelay(bool) error }); ok {
		_ = tcp.SetNoDelay(!n.s.Bool(settings.ReplDisableTCPNoDelay))
	}
	if !closed {
		n.work.Go(func() {
			if err := p.write(); err != nil && !errors.Is(err, net.ErrClosed) {
				n.logf(repl.Verbose, "Error writing to replica: "+err.Error())
			}
			conn.Close()
			n.mu.Lock()
			if p.cursor != nil {
				p.cursor.Close()
			}
			p.closed = true
			p.dropJob()
			n.mu.Unlock()
		})
		p.read(io.MultiReader(bytesReader(unread), conn))
	}
	conn.Close()
	n.drop(p)
}

// drop takes a peer whose connection ended out of everything.
func (n *Node) drop(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.act(p.m.Lost())
	p.closed = true
	if p.live != nil {
		p.live.end()
	}
	delete(n.peers, p)
	if len(n.peers) == 0 {
		n.noPeers = n.now()
	}
	n.maybeCancelSnapshot()
	n.countGood()
}

// read takes acknowledgements until the connection ends.
func (p *peer) read(r io.Reader) {
	var parser resp.Parser
	var args [][]byte
	buf, used := make([]byte, 16<<10), 0
	for {
		got, err := r.Read(buf[used:])
		used += got
		at := 0
		for {
			var n int
			var bad error
			args, n, bad = parser.Next(buf[at:used], args[:0])
			if bad != nil {
				return
			}
			if n == 0 {
				break
			}
			at += n
			p.told(args)
		}
		used = copy(buf, buf[at:used])
		if err != nil || used == len(buf) {
			return
		}
	}
}

// told handles one command of the replica: only acknowledgements count.
func (p *peer) told(args [][]byte) {
	if len(args) == 0 || isAny(args[0], "SYNC", "PSYNC") { // a sign of life; a question that was answered
		return
	}
	if len(args) < 2 || !is(args[0], "REPLCONF") || !isAny(args[1], "ACK", "GETACK") {
		p.spoke(args)
		return
	}
	if len(args) < 3 || !is(args[1], "ACK") {
		return
	}
	offset, ok := resp.ParseInt(args[2])
	if !ok {
		return
	}
	n := p.n
	n.mu.Lock()
	if end := n.log.Offset(); offset < 0 || offset > end { // it would count for WAIT
		if !p.closed {
			n.logf(repl.Warning, "Replica "+p.m.Name+" acknowledges offset "+itoa(offset)+", this server's stream ends at "+itoa(end)+": closing the link")
			p.hangup()
		}
		n.mu.Unlock()
		return
	}
	p.act(p.m.Ack(n.now(), offset))
	more := args[3:]
	if len(more) > 1 && is(more[0], "FACK") {
		if synced, ok := resp.ParseInt(more[1]); ok && synced <= n.log.Offset() {
			p.m.Synced(synced)
		}
		more = more[2:]
	}
	n.countGood()
	n.mu.Unlock()
	if m := n.o.Managed; m != nil && p.member && len(more) > 0 {
		words := make([]string, 0, len(more))
		for _, a := range more {
			words = append(words, string(a))
		}
		m.Vouched(words)
		n.passOn()
	}
	n.acked()
}

// spoke ends the link of a replica that has sent a command: the reply would lie in its stream.
func (p *peer) spoke(args [][]byte) {
	name, problem := "NULL", ""
	if cmd := p.n.e.Table.Resolve(args); cmd != nil {
		name = cmd.FullName
		if cmd.Flags&(command.Write|command.ReadOnly) != 0 {
			problem = "ERR Replica can't interact with the keyspace"
		}
	} else {
		problem = p.n.e.Table.UnknownError(args)
	}
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed {
		return
	}
	if problem != "" {
		p.n.logf(repl.Warning, "== CRITICAL == This master is sending an error to its replica: '"+problem+"' after processing the command '"+name+"'")
	}
	p.n.logf(repl.Warning, "Replica generated a reply to command '"+name+"', disconnecting it: "+p.m.Name)
	p.hangup()
}

// write sends what there is to send until the connection ends.
func (p *peer) write() error {
	var pieces [][]byte
	for {
		p.n.mu.Lock()
		pend, job, cursor, closed := p.pend, p.job, p.cursor, p.closed
		streaming := p.streaming
		p.pend = nil
		if closed || len(pend) > 0 {
			job = nil // it stays for later, or for the caller to drop
		} else {
			p.job = nil
		}
		conn := p.conn
		p.n.mu.Unlock()
		if closed {
			return net.ErrClosed
		}
		if len(pend) > 0 {
			if err := p.n.sent(conn.Write(pend)); err != nil {
				return err
			}
			continue // what was decided meanwhile may have to be sent first
		}
		if job != nil {
			if err := job.run(conn); err != nil {
				return err
			}
			continue
		}
		if !streaming {
			<-p.wake
			continue
		}
		var err error
		if pieces, err = cursor.Read(pieces[:0], maxWrite); err != nil {
			return err
		}
		if len(pieces) == 0 {
			select {
			case <-p.wake:
			case <-cursor.C:
			}
			continue
		}
		if err := p.send(conn, cursor, pieces); err != nil {
			return err
		}
	}
}

// send writes pieces of the log and moves the cursor past them.
func (p *peer) send(conn net.Conn, cursor *oplog.Cursor, pieces [][]byte) error {
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	bufs := net.Buffers(pieces)
	n, err := bufs.WriteTo(conn)
	p.n.bytesOut.Add(n)
	if err != nil {
		return err
	}
	cursor.Advance(total)
	return nil
}

// setJob gives the writer its payload; Node.mu must be held.
func (p *peer) setJob(j job) {
	p.job = j
	if p.closed {
		p.dropJob()
	}
	p.wakeUp()
}

func (p *peer) dropJob() {
	if p.job != nil {
		p.job.drop()
		p.job = nil
	}
}

// fileJob sends a snapshot from disk.
type fileJob struct {
	p    *peer
	f    *os.File
	size int64
}

func (j fileJob) drop() { j.f.Close() }

func (j fileJob) run(conn net.Conn) error {
	defer j.f.Close()
	for sent := int64(0); sent < j.size; {
		n, err := io.CopyN(conn, j.f, min(maxWrite, j.size-sent))
		j.p.n.bytesOut.Add(n)
		if err != nil {
			return err
		}
		sent += n
		j.p.moved()
	}
	return j.p.payloadSent()
}

func (p *peer) moved() {
	p.n.mu.Lock()
	p.m.Moved(p.n.now())
	p.n.mu.Unlock()
}

func (p *peer) moving() {
	p.n.mu.Lock()
	p.m.Moving(p.n.now())
	p.n.mu.Unlock()
}

func (p *peer) payloadSent() error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.m.State() != repl.PeerSending {
		return net.ErrClosed
	}
	p.act(p.m.PayloadSent(p.n.now()))
	p.n.countGood()
	return nil
}

// countGood tells the engine how many replicas count for min-replicas-to-write. Node.mu must be held.
func (n *Node) countGood() {
	good := 0
	lag := n.s.Int(settings.MinReplicasMaxLag) * 1000
	for p := range n.peers {
		if p.m.Good(n.now(), lag) {
			good++
		}
	}
	if n.goodPeers.Swap(int64(good)) != int64(good) {
		n.e.SetGoodReplicas(good)
	}
	n.countCommitted()
}

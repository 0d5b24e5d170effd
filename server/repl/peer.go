package repl

import (
	"fmt"
	"strconv"
	"strings"
)

// Capa is what a replica understands.
type Capa uint8

// Capabilities announced by REPLCONF capa.
const (
	CapaEOF    Capa = 1 << iota // $EOF: framing
	CapaPSYNC2                  // +CONTINUE with a new replication ID
)

// PeerState is a replica in its master's eyes.
type PeerState int

// The states; see the package's picture.
const (
	PeerHandshake PeerState = iota
	PeerWaitStart           // waits for a snapshot that it can join
	PeerWaitEnd             // joined one that is being written to disk
	PeerSending             // the payload is on its way
	PeerWaitAck             // diskless: all sent, no stream before the first ACK
	PeerOnline
	PeerGone
)

var peerNames = [...]string{"handshake", "wait_bgsave", "wait_bgsave", "send_bulk", "send_bulk", "online", "gone"}

// String is the word that INFO shows.
func (s PeerState) String() string { return peerNames[s] }

// StartStream lets the peer's cursor flow.
type StartStream struct{}

// SendFile sends the payload from the finished snapshot on disk, after Header.
type SendFile struct{ Header []byte }

// SendLive joins the peer to the payload that is made right now, after Header.
type SendLive struct{ Header []byte }

// OpenCursor opens the peer's cursor after the byte numbered Offset; until StartStream it only pins.
type OpenCursor struct{ Offset int64 }

func (StartStream) String() string  { return "start stream" }
func (e SendFile) String() string   { return "send file after " + show(e.Header) }
func (e SendLive) String() string   { return "send live after " + show(e.Header) }
func (e OpenCursor) String() string { return fmt.Sprintf("open cursor at %d", e.Offset) }

// Peer is the state machine of one replica as its master sees it. The driver owns the connection.
type Peer struct {
	Name string // address for log lines

	state    PeerState
	out      []Effect
	port     int
	ip       string
	capa     Capa
	explicit bool
	oldSync  bool // SYNC: it never acknowledges
	rdbOnly  bool // it wants the payload and no stream
	filter   Filter

	offset   int64  // where the cursor starts
	acked    int64  // last acknowledged byte
	ackAt    Millis // when
	heard    bool   // the replica has said what it holds
	synced   int64  // last byte that its append-only file has on disk, -1 when it never said
	moved    Millis // when the payload moved last
	idle     bool   // no piece of it is on its way
	since    Millis // when it began to wait for a snapshot
	newline  Millis
	diskless bool
}

// NewPeer makes the view of a connection that may become a replica.
func NewPeer(name string) *Peer { return &Peer{Name: name, synced: -1} }

// State is the present state.
func (p *Peer) State() PeerState { return p.state }

// Shown is the word for the state in INFO: Redis calls a replica that takes a payload while it is made a waiting one.
func (p *Peer) Shown() string {
	if p.diskless && p.state == PeerSending {
		return PeerWaitEnd.String()
	}
	return p.state.String()
}

// Port and IP are what the replica announced; zero values mean that the connection's address counts.
func (p *Peer) Port() int { return p.port }

// IP is the announced address.
func (p *Peer) IP() string { return p.ip }

// Filter is what a reader of payloads wants of them (REPLCONF rdb-filter-only); the zero value means everything.
type Filter struct{ On, Functions bool }

// Filter is what the replica wants to be left of a payload.
func (p *Peer) Filter() Filter { return p.filter }

// Capa is what the replica announced to understand.
func (p *Peer) Capa() Capa { return p.capa }

// Explicit tells that the replica came here by a command.
func (p *Peer) Explicit() bool { return p.explicit }

// Acked is the last acknowledged byte and when it was acknowledged.
func (p *Peer) Acked() (offset int64, at Millis) { return p.acked, p.ackAt }

// Waiting is since when a snapshot is waited for.
func (p *Peer) Waiting() Millis { return p.since }

// Conf handles the options of REPLCONF other than ACK, GETACK and MEMBER. It returns "" or the error for the client.
func (p *Peer) Conf(args []string) (refusal string) {
	if len(args)%2 != 0 {
		return "ERR syntax error"
	}
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch strings.ToLower(args[i]) {
		case "listening-port":
			n, err := strconv.Atoi(value)
			if err != nil {
				return "ERR value is not an integer or out of range"
			}
			p.port = n
		case "ip-address":
			if len(value) > 255 {
				return fmt.Sprintf("ERR REPLCONF ip-address provided by replica instance is too long: %d bytes", len(value))
			}
			if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
				return "ERR REPLCONF ip-address is no address: it has blanks or control characters" // it would forge lines of INFO and log
			}
			p.ip = value
		case "capa":
			switch strings.ToLower(value) {
			case "eof":
				p.capa |= CapaEOF
			case "psync2":
				p.capa |= CapaPSYNC2
			}
		case ExplicitOption:
			p.explicit = value == "1"
		case "rdb-only":
			n, err := strconv.Atoi(value)
			if err != nil {
				return "ERR value is not an integer or out of range"
			}
			if n < 0 || n > 1 {
				return "ERR value is out of range, value must between 0 and 1"
			}
			p.rdbOnly = n == 1
		case "rdb-filter-only":
			p.filter = Filter{On: true}
			for _, word := range strings.Fields(value) {
				if !strings.EqualFold(word, "functions") {
					return "ERR Unsupported rdb-filter-only option: " + word
				}
				p.filter.Functions = true
			}
		case "version": // Valkey 8 tells its own; what a replica may be sent is fixed here
			if !versionLike(value) {
				return fmt.Sprintf("ERR Unrecognized version format: %.512s", value)
			}
		default:
			return "ERR Unrecognized REPLCONF option: " + args[i]
		}
	}
	return ""
}

// versionLike tells whether a text begins like 8.0.2.
func versionLike(v string) bool {
	parts := strings.SplitN(v, ".", 3)
	for i, p := range parts {
		if i == 2 {
			p, _, _ = strings.Cut(p, "-")
		}
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return false
		}
	}
	return len(parts) == 3
}

// Continue serves a partial resync from the byte after held on; id is the present replication ID, backlog the number of
// bytes that will be sent at once.
func (p *Peer) Continue(now Millis, id string, held, backlog int64) []Effect {
	p.begin(PeerHandshake)
	answer := "+CONTINUE\r\n"
	if p.capa&CapaPSYNC2 != 0 {
		answer = "+CONTINUE " + id + "\r\n"
	}
	p.log(Notice, "Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting from offset %d.", p.Name, backlog, held+1)
	p.out = append(p.out, Send{[]byte(answer)}, OpenCursor{held}, StartStream{})
	p.ackAt, p.acked, p.heard = now, held, true
	p.become(PeerOnline)
	return p.out
}

// Full makes the peer wait for a snapshot; old says that it asked with SYNC.
func (p *Peer) Full(now Millis, old bool) []Effect {
	p.begin(PeerHandshake)
	p.oldSync, p.since, p.ackAt = old, now, now
	p.become(PeerWaitStart)
	return p.out
}

// Joined: a snapshot that ends at offset of history id was begun, or is already under way, and this peer takes part.
func (p *Peer) Joined(now Millis, id string, offset int64, diskless bool, mark string) []Effect {
	p.begin(PeerWaitStart)
	p.offset, p.diskless, p.moved = offset, diskless, now
	if !p.oldSync {
		p.out = append(p.out, Send{fmt.Appendf(nil, "+FULLRESYNC %s %d\r\n", id, offset)})
	}
	if !p.rdbOnly { // it gets no stream: nothing is to wait for it
		p.out = append(p.out, OpenCursor{offset})
	}
	if diskless {
		p.out = append(p.out, SendLive{[]byte("$EOF:" + mark + "\r\n")})
		p.become(PeerSending)
	} else {
		p.become(PeerWaitEnd)
	}
	return p.out
}

// SnapshotDone: the snapshot on disk is complete and has size bytes.
func (p *Peer) SnapshotDone(now Millis, size int64) []Effect {
	p.begin(PeerWaitEnd)
	p.moved = now
	p.out = append(p.out, SendFile{fmt.Appendf(nil, "$%d\r\n", size)})
	p.become(PeerSending)
	return p.out
}

// SnapshotFailed: what the peer waited for will not come; its connection ends, and it will ask again.
func (p *Peer) SnapshotFailed(why string) []Effect {
	p.out = p.out[:0]
	p.log(Warning, "SYNC failed. BGSAVE failed: %s", why)
	return p.drop()
}

// Moved notes that payload bytes were taken by the replica's socket.
func (p *Peer) Moved(now Millis) { p.moved, p.idle = now, true }

// Moving notes that a piece of a payload that is made for several replicas is given to the socket. Between two pieces the
// replica waits for the slowest one, which must not count against it.
func (p *Peer) Moving(now Millis) { p.moved, p.idle = now, false }

// PayloadSent: every byte of the payload (and of the trailer) was handed to the socket.
func (p *Peer) PayloadSent(now Millis) []Effect {
	p.begin(PeerSending)
	p.ackAt = now
	if p.rdbOnly {
		p.log(Notice, "RDB transfer completed, rdb only replica (%s) should be disconnected asap", p.Name)
		return p.drop()
	}
	if p.diskless {
		p.log(Notice, "Streamed repl transfer with replica %s succeeded (socket). Waiting for REPLCONF ACK from replica to enable streaming", p.Name)
		p.become(PeerWaitAck)
		return p.out
	}
	p.online()
	return p.out
}

// Ack takes REPLCONF ACK.
func (p *Peer) Ack(now Millis, offset int64) []Effect {
	p.out = p.out[:0]
	p.ackAt, p.heard = now, true
	if offset > p.acked {
		p.acked = offset
	}
	if p.state == PeerWaitAck {
		p.online()
	}
	return p.out
}

// Synced takes the FACK of REPLCONF ACK: the replica's append-only file has the stream up to offset on disk.
func (p *Peer) Synced(offset int64) { p.synced = max(p.synced, offset) }

// HasSynced is the offset of the last FACK, -1 when there was none.
func (p *Peer) HasSynced() int64 { return p.synced }

// Holds is the offset up to which an online replica has said that it holds the stream.
func (p *Peer) Holds() (offset int64, ok bool) {
	return p.acked, p.heard && p.state == PeerOnline && !p.oldSync
}

// Tick is called about once per second.
func (p *Peer) Tick(now, timeout Millis) []Effect {
	p.out = p.out[:0]
	switch p.state {
	case PeerWaitStart, PeerWaitEnd:
		if now-p.newline >= 1000 { // a sign of life
			p.newline = now
			p.out = append(p.out, Send{[]byte("\n")})
		}
	case PeerSending:
		if timeout > 0 && now-p.moved > timeout && !(p.diskless && p.idle) {
			p.log(Warning, "Disconnecting timedout replica (full sync): %s", p.Name)
			return p.drop()
		}
	case PeerWaitAck:
		if timeout > 0 && now-p.ackAt > timeout {
			p.log(Warning, "Disconnecting timedout replica (full sync): %s", p.Name)
			return p.drop()
		}
	case PeerOnline:
		if timeout > 0 && !p.oldSync && now-p.ackAt > timeout {
			p.log(Warning, "Disconnecting timedout replica (streaming sync): %s", p.Name)
			return p.drop()
		}
	}
	return p.out
}

// Lost: the connection is gone.
func (p *Peer) Lost() []Effect {
	p.out = p.out[:0]
	if p.state != PeerHandshake && p.state != PeerGone {
		p.log(Notice, "Connection with replica %s lost.", p.Name)
	}
	p.state = PeerGone
	return p.out
}

// Good tells whether the replica counts for min-replicas-to-write.
func (p *Peer) Good(now, maxLag Millis) bool {
	return p.state == PeerOnline && !p.oldSync && now-p.ackAt <= maxLag
}

func (p *Peer) online() {
	p.out = append(p.out, StartStream{})
	p.log(Notice, "Synchronization with replica %s succeeded", p.Name)
	p.become(PeerOnline)
}

func (p *Peer) drop() []Effect {
	p.out = append(p.out, Hangup{})
	p.state = PeerGone
	return p.out
}

func (p *Peer) begin(want PeerState) {
	if p.state != want {
		panic(fmt.Sprintf("repl: event for a peer in %s (%d), it is in %s (%d)", want, want, p.state, p.state))
	}
	p.out = p.out[:0]
}

// become moves on; a peer never goes back, what is more than a step of the picture is a programmer's error.
func (p *Peer) become(to PeerState) {
	if to <= p.state {
		panic(fmt.Sprintf("repl: illegal transition of a peer from %s (%d) to %s (%d)", p.state, p.state, to, to))
	}
	p.state = to
}

func (p *Peer) log(level Level, format string, args ...any) {
	p.out = append(p.out, Log{level, fmt.Sprintf(format, args...)})
}

// SnapshotPlan decides when a snapshot for waiting peers begins and of what kind.
type SnapshotPlan struct {
	Diskless bool   // repl-diskless-sync
	Delay    Millis // repl-diskless-sync-delay
	MaxPeers int    // repl-diskless-sync-max-replicas, 0 none
}

// Decide looks at the peers in PeerWaitStart: start says that a snapshot for all of them begins now, without a disk if
// diskless. One that does not know the $EOF: framing forces the disk for all.
func (s SnapshotPlan) Decide(now Millis, waiting []*Peer) (start, diskless bool) {
	if len(waiting) == 0 {
		return false, false
	}
	diskless = s.Diskless
	longest := Millis(0)
	for _, p := range waiting {
		diskless = diskless && p.capa&CapaEOF != 0
		longest = max(longest, now-p.since)
	}
	if !diskless {
		return true, false
	}
	return longest >= s.Delay || (s.MaxPeers > 0 && len(waiting) >= s.MaxPeers), true
}

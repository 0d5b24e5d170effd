package repl

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Place is where a replica stands in a history.
type Place struct {
	ID     string // "" when it has none
	ID2    string
	Second int64 // first byte that ID2's history does not share, -1 without one
	Offset int64 // it holds every byte up to this one
	Data   bool  // its data set is not empty
	// Idle tells whether nothing but heartbeats follows behind an offset, so that the replica may go back to it. Nil: it cannot.
	Idle func(offset int64) bool
}

// ReplicaSettings may change at any time; what is new counts from the next use on.
type ReplicaSettings struct {
	Master      string // host:port, for log lines
	User        string // masteruser
	Password    string // masterauth
	Port        int    // what to announce: replica-announce-port, or the port
	AnnounceIP  string // replica-announce-ip
	Timeout     Millis // repl-timeout
	Guard       bool   // the standalone guard's directive
	ToParser    bool   // the payload is parsed as it comes (for the log line)
	OldProtocol bool   // never send PSYNC
	Failover    bool   // FAILOVER hands over to this master: PSYNC tells it so
	RetryAfter  Millis // pause after a refused or failed attempt; 0 means 1 s

	// Managed servers; all nil or none. Hello is what this member says about itself in REPLCONF MEMBER; Offer judges what
	// the master answers and returns why it is refused, or "". A master that does not know the option is refused too.
	Hello func() string
	Offer func(answer string) string
	// AckWords are further words of REPLCONF ACK for the offset acknowledged: vouchers. For so long nothing has come from the
	// master.
	AckWords func(offset int64, silent Millis) []string
}

// ReplicaState is the replica's side of the link.
type ReplicaState int

// The states; see the package's picture.
const (
	Idle ReplicaState = iota
	Connect
	Connecting
	Handshake
	AskPSYNC
	Transfer
	Loading
	Connected
)

var stateNames = [...]string{"none", "connect", "connecting", "handshake", "handshake", "sync", "sync", "connected"}

// String is the word that ROLE shows.
func (s ReplicaState) String() string { return stateNames[s] }

// Replica is the state machine of a server's link to its master. Create it with NewReplica for every new master.
type Replica struct {
	s     ReplicaSettings
	state ReplicaState
	out   []Effect

	explicit bool // a command asked for this master, and it has not been followed yet
	lastRun  string
	lastIO   Millis // when something came from the master
	retryAt  Millis
	ackedAt  Millis

	place   Place // at the start of this attempt
	claim   claim // what PSYNC asked for
	behind  int   // attempts that found a master which had not come as far as this server
	master  Identity
	buf     []byte   // an unfinished line or INFO reply
	waiting []string // what the replies to come answer, in order

	full      BeginFull
	gone      bool // the connection ended while the payload was being loaded
	inPayload bool
	mark      []byte // of $EOF:, nil with a length
	left      int64  // bytes of payload to come, with a length
	held      []byte // after the payload: stream. In a marked payload: the last bytes, which may be the mark
	prePSYNC  bool   // the master speaks only SYNC: no offset, no ACK
}

// NewReplica makes the machine for a link to a master. explicit says that a command asked for it; lastRun is the run ID of
// the master that was followed before, if known.
func NewReplica(s ReplicaSettings, explicit bool, lastRun string) *Replica {
	return &Replica{s: s, explicit: explicit, lastRun: lastRun}
}

// Configure takes new settings.
func (r *Replica) Configure(s ReplicaSettings) { r.s = s }

// State is the present state.
func (r *Replica) State() ReplicaState { return r.state }

// LastIO is when something came from the master last.
func (r *Replica) LastIO() Millis { return r.lastIO }

// LastRun is the run ID of the master that is or was followed.
func (r *Replica) LastRun() string { return r.lastRun }

// Explicit tells whether a command's order to follow this master is still to be fulfilled.
func (r *Replica) Explicit() bool { return r.explicit }

// Order makes the present link an explicit one: a command named the same master again, which overrides the guard.
func (r *Replica) Order(now Millis) []Effect {
	r.begin()
	r.explicit = true
	if r.state == Connect {
		r.dial(now)
	}
	return r.out
}

// TransferLeft is the number of payload bytes still to come, -1 when unknown.
func (r *Replica) TransferLeft() int64 {
	if r.state != Transfer || !r.inPayload || r.mark != nil {
		return -1
	}
	return r.left
}

// Start makes the first attempt.
func (r *Replica) Start(now Millis) []Effect {
	r.begin()
	r.become(Connect)
	r.dial(now)
	return r.out
}

// Connected: the connection that Dial asked for is there. place is where this server stands now.
func (r *Replica) Connected(now Millis, place Place) []Effect {
	r.begin()
	r.must(Connecting)
	r.lastIO = now
	r.place, r.master, r.full, r.buf, r.waiting = place, Identity{}, BeginFull{}, nil, nil
	r.log(Notice, "Non blocking connect for SYNC fired the event.")
	r.become(Handshake)
	r.send("ping", "PING")
	return r.out
}

// Lost: the connection failed or ended; err is nil for a plain end.
func (r *Replica) Lost(now Millis, err error) []Effect {
	r.begin()
	text := "connection closed by the master"
	if err != nil {
		text = err.Error()
	}
	switch r.state {
	case Idle, Connect:
	case Connected:
		r.log(Notice, "Connection with master lost.")
		r.log(Notice, "Caching the disconnected master state.")
		r.become(Connect)
		r.log(Notice, "Reconnecting to MASTER %s", r.s.Master)
		r.dial(now)
	case Loading: // the whole payload is here: go on, the stream is asked for again afterwards
		r.gone, r.held = true, nil
	case Connecting:
		r.log(Warning, "Error condition on socket for SYNC: %s", text)
		r.retry(now)
	case Transfer:
		r.log(Warning, "I/O error trying to sync with MASTER: %s", text)
		r.retry(now)
	default:
		r.log(Warning, "Master lost during the handshake: %s", text)
		r.retry(now)
	}
	return r.out
}

// Tick is called several times per second; offset is the number of the last byte applied.
func (r *Replica) Tick(now Millis, offset int64) []Effect {
	r.begin()
	silent := r.s.Timeout > 0 && now-r.lastIO > r.s.Timeout
	switch r.state {
	case Connect:
		if now >= r.retryAt {
			r.dial(now)
		}
	case Connecting, Handshake, AskPSYNC:
		if silent {
			r.log(Warning, "Timeout connecting to the MASTER...")
			r.fail(now)
		}
	case Transfer:
		if silent {
			r.log(Warning, "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value.")
			r.fail(now)
		} else if !r.inPayload || r.mark == nil {
			r.newline(now)
		}
	case Loading:
		r.lastIO = now
		if !r.gone {
			r.newline(now)
		}
	case Connected:
		if silent {
			r.log(Warning, "MASTER timeout: no data nor PING received...")
			r.out = append(r.out, Hangup{})
			r.log(Notice, "Caching the disconnected master state.")
			r.become(Connect)
			r.dial(now)
		} else if now-r.ackedAt >= 1000 {
			r.ack(now, offset)
		}
	}
	return r.out
}

// GetAck answers REPLCONF GETACK in the stream: an acknowledgement at once.
func (r *Replica) GetAck(now Millis, offset int64) []Effect {
	r.begin()
	if r.state == Connected {
		r.ack(now, offset)
	}
	return r.out
}

// Received takes bytes from the master. Payload and stream go out as parts of p, without a copy.
func (r *Replica) Received(now Millis, p []byte) []Effect {
	r.begin()
	r.lastIO = now
	for len(p) > 0 {
		switch r.state {
		case Handshake, AskPSYNC:
			p = r.reply(now, p)
		case Transfer:
			p = r.transfer(now, p)
		case Loading:
			r.held = append(r.held, p...)
			p = nil
		case Connected:
			r.out = append(r.out, Apply{p})
			p = nil
		default: // hung up meanwhile
			p = nil
		}
	}
	return r.out
}

// Loaded ends a full sync: the payload was swapped in (err nil), or could not be used; that may be known before its end.
func (r *Replica) Loaded(now Millis, err error) []Effect {
	r.begin()
	if err == nil || r.state != Transfer {
		r.must(Loading)
	}
	r.lastIO = now
	if err != nil {
		r.log(Warning, "Failed trying to load the MASTER synchronization DB from disk, check server logs. %s", err)
		r.fail(now)
		return r.out
	}
	r.log(Notice, "MASTER <-> REPLICA sync: Finished with success")
	r.follow(now)
	if r.gone {
		r.log(Notice, "Connection with master lost.")
		r.become(Connect)
		r.dial(now)
		return r.out
	}
	r.ack(now, r.full.Offset)
	if len(r.held) > 0 {
		r.out = append(r.out, Apply{r.held})
		r.held = nil
	}
	return r.out
}

// Keep ends a full sync whose payload the guard refused; see Meeting and KeepAgainst.
func (r *Replica) Keep(now Millis, reason string) []Effect {
	r.begin()
	r.must(Loading)
	r.keep(now, reason)
	return r.out
}

// Meeting is what the guard must know of the full sync under way.
func (r *Replica) Meeting() Meeting {
	return Meeting{Guard: r.s.Guard, Explicit: r.explicit, HasData: r.place.Data, Own: r.place,
		LastRun: r.lastRun, Master: r.master, ID: r.full.ID}
}

func (r *Replica) begin() { r.out = r.out[:0] }

// legal lists the transitions; any other one is a programmer's error.
var legal = map[ReplicaState][]ReplicaState{
	Idle:       {Connect},
	Connect:    {Connecting},
	Connecting: {Handshake, Connect},
	Handshake:  {AskPSYNC, Connect},
	AskPSYNC:   {Transfer, Connected, Connect},
	Transfer:   {Loading, Connect},
	Loading:    {Connected, Connect},
	Connected:  {Connect},
}

func (r *Replica) become(to ReplicaState) {
	for _, s := range legal[r.state] {
		if s == to {
			r.state = to
			return
		}
	}
	panic(fmt.Sprintf("repl: illegal transition from %s (%d) to %s (%d)", r.state, r.state, to, to))
}

func (r *Replica) must(s ReplicaState) {
	if r.state != s {
		panic(fmt.Sprintf("repl: event for state %s (%d) in state %s (%d)", s, s, r.state, r.state))
	}
}

func (r *Replica) dial(now Millis) {
	r.become(Connecting)
	r.lastIO = now
	r.log(Notice, "Connecting to MASTER %s", r.s.Master)
	r.log(Notice, "MASTER <-> REPLICA sync started")
	r.out = append(r.out, Dial{})
}

// fail hangs up and tries again later.
func (r *Replica) fail(now Millis) {
	r.out = append(r.out, Hangup{})
	r.retry(now)
}

func (r *Replica) retry(now Millis) {
	if r.state == Transfer || r.state == Loading {
		r.out = append(r.out, AbortFull{})
	}
	wait := r.s.RetryAfter
	if wait == 0 {
		wait = 1000
	}
	r.retryAt = now + wait
	r.inPayload, r.mark, r.held, r.buf = false, nil, nil, nil
	r.become(Connect)
}

func (r *Replica) keep(now Millis, reason string) {
	r.log(Warning, "Full resync from master refused, the data set is kept: %s. To accept the master's data set send REPLICAOF again.", reason)
	r.out = append(r.out, Kept{reason})
	r.fail(now)
}

// follow is the moment from which this server follows the master.
func (r *Replica) follow(now Millis) {
	r.become(Connected)
	r.explicit, r.behind = false, 0
	r.lastRun = r.master.RunID
	r.ackedAt = now
	r.inPayload, r.mark = false, nil
}

func (r *Replica) ack(now Millis, offset int64) {
	r.ackedAt = now
	if r.prePSYNC {
		return
	}
	args := []string{"REPLCONF", "ACK", strconv.FormatInt(offset, 10)}
	if r.s.AckWords != nil {
		args = append(args, r.s.AckWords(offset, now-r.lastIO)...)
	}
	r.out = append(r.out, Send{AppendCommand(nil, args...)})
}

// newline is the sign of life of a replica that is busy with the payload.
func (r *Replica) newline(now Millis) {
	if now-r.ackedAt >= 1000 {
		r.ackedAt = now
		r.out = append(r.out, Send{[]byte("\n")})
	}
}

func (r *Replica) log(level Level, format string, args ...any) {
	r.out = append(r.out, Log{level, fmt.Sprintf(format, args...)})
}

// send sends a command and notes what its reply will answer.
func (r *Replica) send(what string, args ...string) {
	r.waiting = append(r.waiting, what)
	r.out = append(r.out, Send{AppendCommand(nil, args...)})
}

// line takes one line off p, completing an unfinished one; ok is false when its end has not come yet.
func (r *Replica) line(p []byte) (line string, rest []byte, ok bool) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		r.buf = append(r.buf, p...)
		return "", nil, false
	}
	r.buf = append(r.buf, p[:i]...)
	line = strings.TrimSuffix(string(r.buf), "\r")
	r.buf = r.buf[:0]
	return line, p[i+1:], true
}

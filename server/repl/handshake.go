package repl

import (
	"strconv"
	"strings"
)

// ExplicitOption is the REPLCONF option by which a replica of ours tells that a command sent it: the master's guard lets it
// pass. redis-server answers an unknown option with an error, which is of no consequence.
const ExplicitOption = "explicit-order"

// maxOffset is the highest offset that a master is believed: no stream is that long, and there is room above it to count on.
const maxOffset = 1 << 62

const (
	maxLine = 64 << 10 // of a reply in the handshake
	maxInfo = 1 << 20  // of a reply to INFO, which lists the replicas
)

// reply takes the next reply of the handshake off p.
func (r *Replica) reply(now Millis, p []byte) []byte {
	if len(r.waiting) > 0 && r.waiting[0] == "info-body" {
		return r.infoBody(now, p)
	}
	line, rest, ok := r.line(p)
	switch {
	case !ok:
		if len(r.buf) > maxLine {
			r.log(Warning, "The master's reply is longer than %d bytes: this is no Redis server", maxLine)
			r.fail(now)
		}
		return nil
	case line == "": // a sign of life
		return rest
	case len(r.waiting) == 0:
		r.log(Warning, "The master said %q without being asked", line)
		r.fail(now)
		return nil
	}
	what := r.waiting[0]
	r.waiting = r.waiting[1:]
	r.answered(now, what, line)
	if r.state == Handshake && len(r.waiting) == 0 {
		r.askPSYNC(now)
	}
	return rest
}

// answered acts on one reply line.
func (r *Replica) answered(now Millis, what, line string) {
	bad := strings.HasPrefix(line, "-")
	switch what {
	case "ping":
		r.pong(now, line)
	case "auth":
		if bad {
			r.log(Warning, "Unable to AUTH to MASTER: %s", line)
			r.fail(now)
		}
	case "member":
		r.offered(now, line)
	case "info":
		if n, err := strconv.Atoi(strings.TrimPrefix(line, "$")); err == nil && line[0] == '$' && n >= 0 && n <= maxInfo {
			r.waiting = append([]string{"info-body"}, r.waiting...)
			r.left = int64(n) + 2
		}
	case "psync":
		r.psyncReply(now, line)
	default:
		if bad {
			r.log(Notice, "(Non critical) Master does not understand REPLCONF %s: %s", what, line)
		}
	}
}

func (r *Replica) pong(now Millis, line string) {
	ok := strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-NOAUTH") || strings.HasPrefix(line, "-NOPERM") ||
		strings.HasPrefix(line, "-ERR operation not permitted")
	if !ok {
		r.log(Warning, "Error reply to PING from master: '%s'", line)
		r.fail(now)
		return
	}
	r.log(Notice, "Master replied to PING, replication can continue...")
	if r.s.Password != "" {
		if r.s.User != "" {
			r.send("auth", "AUTH", r.s.User, r.s.Password)
		} else {
			r.send("auth", "AUTH", r.s.Password)
		}
	}
	if r.s.Hello != nil {
		r.send("member", "REPLCONF", "MEMBER", r.s.Hello())
	}
	r.send("listening-port", "REPLCONF", "listening-port", strconv.Itoa(r.s.Port))
	if r.s.AnnounceIP != "" {
		r.send("ip-address", "REPLCONF", "ip-address", r.s.AnnounceIP)
	}
	r.send("capa", "REPLCONF", "capa", "eof", "capa", "psync2")
	if r.s.Guard {
		if r.explicit {
			r.send(ExplicitOption, "REPLCONF", ExplicitOption, "1")
		}
		r.send("info", "INFO", "server") // one section at a time: before 7.0 INFO took only one
		r.send("info", "INFO", "persistence")
	}
	if r.place.Idle != nil && r.place.ID != "" {
		r.send("info", "INFO", "replication") // for the claim
	}
}

// offered judges the master's answer to REPLCONF MEMBER.
func (r *Replica) offered(now Millis, line string) {
	answer, ok := strings.CutPrefix(line, "+MEMBER ")
	why := line
	if ok {
		why = r.s.Offer(answer)
	}
	if why != "" {
		r.log(Warning, "This member does not follow that master: %s", why)
		r.fail(now)
	}
}

// infoBody collects the body of the INFO reply, which is a bulk string.
func (r *Replica) infoBody(now Millis, p []byte) []byte {
	n := min(r.left, int64(len(p)))
	r.buf = append(r.buf, p[:n]...)
	r.left -= n
	if r.left == 0 {
		r.buf = append(r.buf, '\n')
		r.master = r.master.and(ParseIdentity(string(r.buf)))
		r.buf = r.buf[:0]
		r.waiting = r.waiting[1:]
		if len(r.waiting) == 0 {
			r.askPSYNC(now)
		}
	}
	return p[n:]
}

func (r *Replica) askSYNC() {
	r.log(Notice, "Retrying with SYNC...")
	r.out = append(r.out, Send{[]byte("SYNC\r\n")})
	r.fullSync(BeginFull{})
	r.prePSYNC = true
}

func (r *Replica) psyncReply(now Millis, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case r.s.Failover && word != "+FULLRESYNC" && word != "+CONTINUE":
		r.log(Warning, "Unexpected reply to PSYNC from master: %s", line)
		r.out = append(r.out, Rejected{})
		r.fail(now)
	case word == "+FULLRESYNC":
		r.fullResync(now, rest)
	case word == "+CONTINUE":
		r.resume(now, strings.TrimSpace(rest))
	case word == "-NOMASTERLINK", word == "-LOADING":
		r.log(Notice, "Master is currently unable to PSYNC but should be in the future: %s", line)
		r.fail(now)
	default:
		if strings.HasPrefix(line, "-ERR") {
			r.log(Notice, "Master does not support PSYNC or is in error state (reply: %s)", line)
		} else {
			r.log(Warning, "Unexpected reply to PSYNC from master: %s", line)
		}
		// SYNC knows no history, so nothing could tell an unrelated one: the guard does not go there.
		if r.Meeting().atStake() {
			r.keep(now, "the master answers PSYNC with an error, and SYNC would replace the data set by an unknown one")
			return
		}
		r.askSYNC()
	}
}

func (r *Replica) fullResync(now Millis, rest string) {
	id, at, _ := strings.Cut(rest, " ")
	offset, err := strconv.ParseInt(strings.TrimSpace(at), 10, 64)
	if err != nil || len(id) != 40 || offset < 0 || offset > maxOffset {
		r.log(Warning, "Master replied with wrong +FULLRESYNC syntax.")
		r.fail(now)
		return
	}
	r.log(Notice, "Full resync from master: %s:%d", id, offset)
	r.full.ID = id
	m := r.Meeting()
	if why := KeepData(m); why != "" {
		r.keep(now, why)
		return
	}
	if c, known := r.place.shared(r.master.IDs); known && c.offset < r.place.Offset && r.s.Hello == nil { // a member's driver does it
		r.out = append(r.out, SetAside{c.offset})
	}
	r.fullSync(BeginFull{ID: id, Offset: offset})
}

func (r *Replica) fullSync(full BeginFull) {
	r.become(Transfer)
	r.full, r.prePSYNC = full, false
	r.inPayload, r.mark, r.left, r.held, r.gone = false, nil, 0, nil, false
}

func (r *Replica) resume(now Millis, id string) {
	if id != "" && len(id) != 40 {
		r.log(Warning, "Master replied with wrong +CONTINUE syntax.")
		r.fail(now)
		return
	}
	if r.place.ID == "" {
		r.log(Warning, "Master replied +CONTINUE to a request for the whole data set: there is nothing to continue from.")
		r.fail(now)
		return
	}
	r.log(Notice, "Successful partial resynchronization with master.")
	if strings.EqualFold(id, r.place.ID) {
		id = ""
	}
	if id != "" {
		r.log(Notice, "Master replication ID changed to %s", id)
	}
	r.prePSYNC = false
	r.follow(now)
	r.log(Notice, "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
	r.out = append(r.out, Resume{ID: id, Offset: r.claim.offset})
	r.ack(now, r.claim.offset)
}

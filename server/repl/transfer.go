package repl

import (
	"bytes"
	"strconv"
	"strings"
)

const markLen = 40

// transfer takes the header or the next piece of the payload off p.
func (r *Replica) transfer(now Millis, p []byte) []byte {
	switch {
	case !r.inPayload:
		return r.header(now, p)
	case r.mark != nil:
		return r.marked(p)
	}
	n := min(r.left, int64(len(p)))
	r.left -= n
	r.out = append(r.out, Payload{p[:n]})
	if r.left == 0 {
		r.payloadEnds()
	}
	return p[n:]
}

// header is the line before the payload: $len, $EOF:mark, an error, or an empty sign of life.
func (r *Replica) header(now Millis, p []byte) []byte {
	line, rest, ok := r.line(p)
	switch {
	case !ok:
		if len(r.buf) > maxLine {
			r.log(Warning, "Bad protocol from MASTER, the header of the payload is longer than %d bytes", maxLine)
			r.fail(now)
		}
		return nil
	case line == "":
		return rest
	case line[0] == '-':
		r.log(Warning, "MASTER aborted replication with an error: %s", line[1:])
		r.fail(now)
		return nil
	}
	where := "to disk"
	if r.s.ToParser {
		where = "to parser"
	}
	if mark, ok := strings.CutPrefix(line, "$EOF:"); ok && len(mark) == markLen {
		r.mark, r.full.Size = []byte(mark), -1
		r.log(Notice, "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF %s", where)
	} else if n, err := strconv.ParseInt(strings.TrimPrefix(line, "$"), 10, 64); err == nil && line[0] == '$' && n > 0 {
		r.left, r.full.Size = n, n
		r.log(Notice, "MASTER <-> REPLICA sync: receiving %d bytes from master %s", n, where)
	} else {
		r.log(Warning, "Bad protocol from MASTER, the first byte is not '$' (we received '%s'), are you sure the host and port are right?", line)
		r.fail(now)
		return nil
	}
	r.inPayload, r.held = true, nil
	r.out = append(r.out, r.full)
	return rest
}

// marked hands out a payload of unknown length. The last 40 bytes are always held back: they may be the mark. As the
// master sends nothing behind the mark before our first ACK, it can only be at the end of what has come.
func (r *Replica) marked(p []byte) []byte {
	if len(p) >= markLen {
		r.pass(r.held)
		r.pass(p[:len(p)-markLen])
		r.held = append(r.held[:0:0], p[len(p)-markLen:]...)
	} else {
		r.held = append(r.held, p...)
		cut := max(len(r.held)-markLen, 0)
		r.pass(r.held[:cut:cut])
		r.held = append(r.held[:0:0], r.held[cut:]...)
	}
	if bytes.Equal(r.held, r.mark) {
		r.held = nil
		r.payloadEnds()
	}
	return nil
}

func (r *Replica) pass(p []byte) {
	if len(p) > 0 {
		r.out = append(r.out, Payload{p})
	}
}

func (r *Replica) payloadEnds() {
	r.become(Loading)
	r.out = append(r.out, EndPayload{})
}

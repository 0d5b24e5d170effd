package link

import (
	"bytes"
	"slices"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/resp"
)

// stream turns the master's bytes into commands, lets the engine execute whole transactions, and appends exactly the
// bytes of what was executed to the log: offset and data move in one step, and replicas of this server get the master's
// bytes verbatim.
type stream struct {
	u      *upstream
	parser resp.Parser
	buf    []byte // bytes not yet applied
	parsed int    // of buf: commands up to here are in cmds
	inTx   bool
	whole  int // of cmds: outside any open transaction

	cmds   [][][]byte
	args   [][]byte // backing of cmds
	ends   []int    // end of each command in buf
	getack bool     // REPLCONF GETACK was seen
	err    error
}

// applyAtOnce bounds what one Apply gets, so that the buffer's front is given back during a long burst.
const applyAtOnce = 4096

func (s *stream) init(u *upstream) {
	s.u = u
	s.parser.MaxBulk = -1
}

// reset forgets an unfinished command or transaction: the link begins anew after the last byte applied.
func (s *stream) reset() {
	s.parser.Reset()
	s.buf, s.parsed, s.inTx, s.whole = s.buf[:0], 0, false, 0
	s.cmds, s.args, s.ends = s.cmds[:0], s.args[:0], s.ends[:0]
	s.getack, s.err = false, nil
	s.u.read.Store(s.u.n.log.Offset())
}

// feed takes the next bytes.
func (s *stream) feed(p []byte) {
	if s.err != nil {
		return
	}
	s.buf = append(s.buf, p...)
	for s.next() {
		if s.whole >= applyAtOnce {
			s.apply()
		}
	}
	s.apply()
	s.u.read.Store(s.u.n.log.Offset() + int64(len(s.buf)))
}

// next parses one command. Its arguments point into the array that buf has now; that array is not written again while
// commands of an open transaction point into it.
func (s *stream) next() bool {
	first := len(s.args)
	args, n, err := s.parser.Next(s.buf[s.parsed:], s.args)
	if err != nil {
		s.err = err
		return false
	}
	if n == 0 {
		return false
	}
	s.parsed += n
	s.args = args
	cmd := args[first:len(args):len(args)]
	s.cmds = append(s.cmds, cmd)
	s.ends = append(s.ends, s.parsed)
	switch {
	case len(cmd) == 0:
	case is(cmd[0], "MULTI"):
		s.inTx = true
	case is(cmd[0], "EXEC"):
		s.inTx = false
	case len(cmd) >= 2 && is(cmd[0], "REPLCONF") && is(cmd[1], "GETACK"):
		s.getack = true
		s.u.hurry()
	case s.u.n.o.Managed != nil && is(cmd[0], "PING"): // the heartbeat: a member vouches for it at once
		s.getack = true
	}
	if !s.inTx {
		s.whole = len(s.cmds)
	}
	return true
}

// apply executes what is whole and appends its bytes to the log.
func (s *stream) apply() {
	if n := s.free(); n > 0 {
		u, from := s.u, 0
		u.applier.Apply(s.cmds[:n], func(done int) {
			u.n.log.Append(s.buf[from:s.ends[done-1]], oplog.ToAll)
			from = s.ends[done-1]
		}, func(err *engine.StreamError) { u.n.logf(repl.Warning, err.Error()) })
		s.drop(n)
	}
}

// maxHeld is how much of the stream may wait for the end of CLIENT PAUSE before the rest waits in the socket.
const maxHeld = 64 << 20

// full tells that so much waits. A big transaction may fill the buffer as well, and must be read to its end.
func (s *stream) full() bool { return len(s.buf) >= maxHeld && s.free() < s.whole }

// free is the number of whole commands that may be applied now: as in Redis CLIENT PAUSE holds back what the master of this
// server writes, too. A member's pause is for its clients: its operator wants the replicas to go on.
func (s *stream) free() int {
	writes, all := s.u.n.e.Held()
	if !writes || s.u.n.o.Managed != nil {
		return s.whole
	}
	n := 0
	for !all && n < s.whole && (len(s.cmds[n]) == 0 || isAny(s.cmds[n][0], "PING", "SELECT", "REPLCONF")) {
		n++
	}
	return n
}

// drop forgets the first n commands, which were applied, and their bytes.
func (s *stream) drop(n int) {
	used := s.ends[n-1]
	left := len(s.cmds) - n
	if left == 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[used:])]
		clear(s.args)
		s.args = s.args[:0]
	} else { // what is left points into both arrays
		s.buf = append([]byte(nil), s.buf[used:]...)
		s.args = nil
	}
	copy(s.cmds, s.cmds[n:])
	clear(s.cmds[left:])
	s.cmds = s.cmds[:left]
	copy(s.ends, s.ends[n:])
	s.ends = s.ends[:left]
	for i := range s.ends {
		s.ends[i] -= used
	}
	s.parsed, s.whole = s.parsed-used, s.whole-n
}

func isAny(b []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return is(b, w) })
}

func is(b []byte, word string) bool { return len(b) == len(word) && bytes.EqualFold(b, []byte(word)) }

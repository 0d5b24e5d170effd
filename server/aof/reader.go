package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/understudy-db/understudy/server/resp"
)

// Reader reads the commands of a part, unit by unit.
type Reader struct {
	// Place is the place in the stream after the last batch, as far as the file tells it. Set it to where the part before
	// ended.
	Place Place
	// Stretch, when set, is told what the bytes of the units that were returned are to the stream, in their order: at the next
	// call of Batch.
	Stretch func(Stretch)

	r      io.Reader
	buf    []byte
	end    bool  // nothing follows buf
	pos    int64 // of buf[0] in the part
	parser resp.Parser

	parsed int // of buf: what next has looked at
	inTx   bool
	t      tracker // at parsed
	aux    auxReader
	args   [][]byte
	runs   []stretchAt // up to parsed
	whole  struct {    // the end of the last whole unit
		bytes, cmds int
		t           tracker
	}
	cmds [][][]byte
}

// Stretch is a run of a part's bytes that mean the same to the stream, without the notes between them.
type Stretch struct {
	Place  Place  // before the bytes; ID is "" when nothing is known of them
	Counts bool   // they are the stream's; otherwise this server's own
	Data   []byte // valid until the call returns; none when a note tells a place
}

// stretchAt is where one lies in the buffer.
type stretchAt struct {
	from, to int
	t        tracker // before it
}

// Truncated is a part that ends in the middle of a unit.
type Truncated struct{ Pos int64 } // of the last whole unit's end

func (e *Truncated) Error() string {
	return fmt.Sprintf("Unexpected end of file after byte %d", e.Pos)
}

// Damaged is a part with bytes that are no command.
type Damaged struct {
	Pos int64 // of the command that cannot be read
	Why string
}

func (e *Damaged) Error() string { return fmt.Sprintf("Bad file format at byte %d: %s", e.Pos, e.Why) }

const (
	readSize  = 256 << 10
	batchCmds = 1024
	maxNote   = 1024 // Redis' limit of a line
)

// NewReader reads from r, which stands at byte pos of the part.
func NewReader(r io.Reader, pos int64) *Reader {
	return &Reader{r: r, pos: pos, parser: resp.Parser{MaxBulk: -1}}
}

// Notes go on where the file read so far ends.
func (r *Reader) Notes() Notes { return Notes{t: r.t} }

// Aux are the texts that the notes read so far have told, the latest of each name.
func (r *Reader) Aux() map[string]string { return r.aux.texts }

// Pos is the position after the last batch.
func (r *Reader) Pos() int64 { return r.pos }

// Batch returns the next commands, whole units of them. They are valid until the next call. At the end the error is io.EOF,
// Truncated or Damaged; the commands before it were returned by earlier calls. The bytes of what Batch returned count once
// the next call is made.
func (r *Reader) Batch() ([][][]byte, error) {
	r.begin()
	for {
		var err error
		for r.whole.cmds < batchCmds {
			var more bool
			if more, err = r.next(); !more || err != nil {
				break
			}
		}
		if r.whole.bytes > 0 {
			r.Place = r.whole.t.place
			return r.cmds[:r.whole.cmds], nil
		}
		if err != nil {
			return nil, err
		}
		if r.end {
			if r.parsed < len(r.buf) || r.inTx {
				return nil, &Truncated{r.pos}
			}
			return nil, io.EOF
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// begin gives up what the last batch returned.
func (r *Reader) begin() {
	n := r.whole.bytes
	r.tell(n)
	r.pos += int64(n)
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
	r.t = r.whole.t
	if n == 0 && r.t.mode == unknown {
		r.t.place = r.Place
	}
	r.parsed, r.inTx = 0, false
	r.parser.Reset()
	clear(r.args)
	clear(r.cmds)
	r.args, r.cmds = r.args[:0], r.cmds[:0]
	r.whole.bytes, r.whole.cmds = 0, 0
	r.whole.t = r.t
}

// fill reads more. What was parsed of an open transaction is parsed again when the buffer moves.
func (r *Reader) fill() error {
	if cap(r.buf)-len(r.buf) < readSize/2 {
		grown := make([]byte, len(r.buf), max(2*cap(r.buf), readSize, len(r.buf)+r.parser.Need()/2))
		copy(grown, r.buf)
		r.buf = grown
		r.again()
	}
	n, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if errors.Is(err, io.EOF) {
		r.end = true
		return nil
	}
	return err
}

func (r *Reader) again() {
	r.parser.Reset()
	r.parsed, r.inTx, r.t = 0, false, r.whole.t
	r.args, r.cmds, r.runs = r.args[:0], r.cmds[:0], r.runs[:0]
}

// tell passes on what the first n bytes of the buffer are, which are whole units.
func (r *Reader) tell(n int) {
	for _, s := range r.runs {
		if s.from >= n {
			break // it is parsed again
		}
		st := Stretch{Counts: s.t.mode == counted, Data: r.buf[s.from:min(s.to, n)]}
		if s.t.mode != unknown {
			st.Place = s.t.place
		}
		r.Stretch(st)
	}
	r.runs = r.runs[:0]
}

// run notes that a command of n bytes comes next in the buffer, or a place that a note has told.
func (r *Reader) run(n int) {
	last := len(r.runs) - 1
	switch {
	case r.Stretch == nil:
	case n > 0 && last >= 0 && r.runs[last].to == r.parsed: // no note between
		r.runs[last].to += n
	default:
		r.runs = append(r.runs, stretchAt{r.parsed, r.parsed + n, r.t})
	}
}

// next takes one command or note from the buffer; more is false when it is not complete.
func (r *Reader) next() (more bool, err error) {
	rest := r.buf[r.parsed:]
	if len(rest) == 0 {
		return false, nil
	}
	if rest[0] == '#' {
		return r.note(rest)
	}
	if rest[0] == 0 && len(bytes.Trim(rest, "\x00")) == 0 {
		return false, nil // to the end: space that a power loss left without its bytes
	}
	if rest[0] != '*' {
		return false, &Damaged{r.pos + int64(r.parsed), fmt.Sprintf("%q where a command begins", rest[:1])}
	}
	first := len(r.args)
	args, n, err := r.parser.Next(rest, r.args)
	if err != nil {
		return false, &Damaged{r.pos + int64(r.parsed), err.Error()}
	}
	if n == 0 {
		return false, nil
	}
	if len(args) == first {
		return false, &Damaged{r.pos + int64(r.parsed), "a command without a name"}
	}
	r.args = args
	cmd := args[first:len(args):len(args)]
	r.cmds = append(r.cmds, cmd)
	r.run(n)
	r.t.command(n)
	switch {
	case bytes.EqualFold(cmd[0], []byte("multi")):
		r.inTx = true
	case bytes.EqualFold(cmd[0], []byte("exec")):
		r.inTx = false
	}
	r.passed(n)
	return true, nil
}

func (r *Reader) note(rest []byte) (more bool, err error) {
	i := bytes.IndexByte(rest, '\n')
	if i >= maxNote || i < 0 && len(rest) >= maxNote {
		return false, &Damaged{r.pos + int64(r.parsed), "a note that is too long"}
	}
	if i < 0 {
		return false, nil
	}
	if r.t.note(rest[:i+1]) {
		r.run(0)
	}
	r.aux.note(rest[:i+1])
	r.passed(i + 1)
	return true, nil
}

func (r *Reader) passed(n int) {
	r.parsed += n
	if !r.inTx {
		r.whole.bytes, r.whole.cmds, r.whole.t = r.parsed, len(r.cmds), r.t
	}
}

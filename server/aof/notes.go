package aof

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Place is where a file's commands end in the replication stream.
type Place struct {
	ID     string // of the history; "" when nothing tells
	Offset int64
}

// mode is what the bytes of the commands at hand mean to the stream.
type mode byte

const (
	unknown mode = iota
	counted
	own
)

const (
	notePrefix = "#understudy:"
	noteAt     = notePrefix + "at "
	noteOwn    = notePrefix + "own\r\n"
	noteEnd    = notePrefix + "end\r\n"
)

// tracker follows the place through notes and commands. A command of unknown meaning ends what was known.
type tracker struct {
	mode  mode
	place Place
}

// command passes a command of n bytes.
func (t *tracker) command(n int) {
	switch t.mode {
	case counted:
		t.place.Offset += int64(n)
	case unknown:
		t.place = Place{}
	}
}

// note reads a line that begins with '#'; those of others change nothing. placed means that it tells a place.
func (t *tracker) note(line []byte) (placed bool) {
	if !bytes.HasPrefix(line, []byte(notePrefix)) {
		return false
	}
	words := bytes.Fields(line[len(notePrefix):])
	switch {
	case len(words) == 1 && string(words[0]) == "own":
		t.mode = own
	case len(words) == 3 && string(words[0]) == "at" && len(words[1]) == 40:
		offset, err := strconv.ParseInt(string(words[2]), 10, 64)
		if err != nil || offset < 0 {
			t.mode = unknown
			return false
		}
		t.mode, t.place = counted, Place{string(words[1]), offset}
		return true
	case len(words) >= 3 && string(words[0]) == "aux": // has no place
	default: // the end, or a note of a later version
		t.mode = unknown
	}
	return false
}

// Notes writes the notes that a part needs, and no more. The zero value begins a part.
type Notes struct {
	t    tracker
	time int64 // unix seconds of the latest #TS
}

// Piece appends to dst the notes that go before bytes that begin at offset of history id, or before bytes that nobody counts when
// counts is false. Those are this server's own within that history, which goes on behind them, if current is (the history at the
// end of the file) or the file has come to it; otherwise they are what a master wrote while it had no replicas, and end what was
// known: who has all before them lacks something.
func (n *Notes) Piece(dst []byte, counts bool, current, id string, offset int64) []byte {
	switch {
	case counts && (n.t.mode != counted || n.t.place != Place{id, offset}):
		return n.At(dst, Place{id, offset})
	case counts:
	case id != current && (n.t.mode == unknown || id != n.t.place.ID):
		return n.End(dst)
	case n.t.mode != own:
		n.t.mode = own
		return append(dst, noteOwn...)
	}
	return dst
}

// Wrote tells that so many bytes of the piece were written.
func (n *Notes) Wrote(bytes int) { n.t.command(bytes) }

// At appends the note of a place.
func (n *Notes) At(dst []byte, p Place) []byte {
	n.t.mode, n.t.place = counted, p
	return fmt.Appendf(dst, "%s%s %d\r\n", noteAt, p.ID, p.Offset)
}

// auxPart is how much of a text one note holds.
const auxPart = 800

// AppendAux appends the notes of a named text, which has no line end in it.
func AppendAux(dst []byte, name, text string) []byte {
	n := max(1, (len(text)+auxPart-1)/auxPart)
	for i := range n {
		dst = fmt.Appendf(dst, "%saux %s %d/%d %s\r\n", notePrefix, name, i, n, text[i*auxPart:min(len(text), (i+1)*auxPart)])
	}
	return dst
}

// auxReader puts the texts of notes together.
type auxReader struct {
	texts map[string]string // whole ones
	parts []string
}

func (a *auxReader) note(line []byte) {
	rest, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), notePrefix+"aux ")
	if !ok {
		return
	}
	name, rest, _ := strings.Cut(rest, " ")
	number, text, ok := strings.Cut(rest, " ")
	var i, n int
	if got, err := fmt.Sscanf(number, "%d/%d", &i, &n); !ok || err != nil || got != 2 || n < 1 || i < 0 || i >= n {
		return
	}
	if i == 0 {
		a.parts = a.parts[:0]
	}
	if len(a.parts) != i {
		return // its beginning is missing
	}
	if a.parts = append(a.parts, text); i == n-1 {
		if a.texts == nil {
			a.texts = map[string]string{}
		}
		a.texts[name] = strings.Join(a.parts, "")
		a.parts = a.parts[:0]
	}
}

// Place is what the file says so far.
func (n *Notes) Place() Place { return n.t.place }

// End appends the note of an orderly end, if anything was said before.
func (n *Notes) End(dst []byte) []byte {
	if n.t.mode == unknown {
		return dst
	}
	n.t.mode = unknown
	return append(dst, noteEnd...)
}

// Time appends Redis' annotation of the time, once per second.
func (n *Notes) Time(dst []byte, unix int64) []byte {
	if unix <= n.time {
		return dst
	}
	n.time = unix
	return AppendTime(dst, unix)
}

// AppendTime is Redis' annotation of the time.
func AppendTime(dst []byte, unix int64) []byte { return fmt.Appendf(dst, "#TS:%d\r\n", unix) }

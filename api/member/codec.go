package member

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ProtocolVersion is what this build speaks; OldestVersion the oldest it still understands.
const (
	ProtocolVersion = 1
	OldestVersion   = 1
	// MaxLine bounds a frame on the wire, newline included.
	MaxLine = 64 << 10
)

// Frame is one line: a message with its place in the conversation.
type Frame struct {
	ID      uint64  // of a question, 0 if none
	Re      uint64  // the question answered, 0 if none
	Message Message // by value, one of this package's structs
}

type wireFrame struct {
	Version int             `json:"v"`
	Kind    Kind            `json:"k"`
	ID      uint64          `json:"id,omitempty"`
	Re      uint64          `json:"re,omitempty"`
	Body    json.RawMessage `json:"b"`
}

// ErrTooLong ends a connection: the peer sent a line above MaxLine.
var ErrTooLong = errors.New("management line above 64 KiB: close the connection")

// UnknownKindError is a well-formed frame of a kind this build does not know. Answer it with a
// Refusal (RefusedUnknown) and go on.
type UnknownKindError struct {
	Kind Kind
	ID   uint64
}

func (e *UnknownKindError) Error() string { return fmt.Sprintf("unknown message kind %q", e.Kind) }

var decoders = map[Kind]func(json.RawMessage) (Message, error){}

func register[M Message]() {
	var zero M
	decoders[zero.Kind()] = func(b json.RawMessage) (Message, error) {
		var m M
		err := json.Unmarshal(b, &m)
		return m, err
	}
}

func init() {
	register[Hello]()
	register[Adopt]()
	register[Adopted]()
	register[Promote]()
	register[Follow]()
	register[TakeRoster]()
	register[Park]()
	register[Pause]()
	register[Resume]()
	register[LeaseRequest]()
	register[Lease]()
	register[Configure]()
	register[Rotate]()
	register[Save]()
	register[Ask]()
	register[Done]()
	register[Refusal]()
	register[Report]()
	register[Death]()
	register[Handover]()
}

// Encode is the frame's line, newline included.
func Encode(f Frame) ([]byte, error) {
	body, err := json.Marshal(f.Message)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.Message.Kind(), err)
	}
	line, err := json.Marshal(wireFrame{Version: ProtocolVersion, Kind: f.Message.Kind(), ID: f.ID, Re: f.Re, Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.Message.Kind(), err)
	}
	if len(line) >= MaxLine {
		return nil, fmt.Errorf("encode %s: %d bytes: %w", f.Message.Kind(), len(line), ErrTooLong)
	}
	return append(line, '\n'), nil
}

// Decode reads one line (with or without its newline).
func Decode(line []byte) (Frame, error) {
	if len(line) > MaxLine {
		return Frame{}, ErrTooLong
	}
	var w wireFrame
	if err := json.Unmarshal(line, &w); err != nil {
		return Frame{}, fmt.Errorf("management frame: %w", err)
	}
	if w.Version < OldestVersion {
		return Frame{}, fmt.Errorf("management frame of version %d, oldest understood is %d", w.Version, OldestVersion)
	}
	decode, ok := decoders[w.Kind]
	if !ok {
		return Frame{}, &UnknownKindError{Kind: w.Kind, ID: w.ID}
	}
	if len(w.Body) == 0 {
		w.Body = json.RawMessage("{}")
	}
	m, err := decode(w.Body)
	if err != nil {
		return Frame{}, fmt.Errorf("management frame %s: %w", w.Kind, err)
	}
	return Frame{ID: w.ID, Re: w.Re, Message: m}, nil
}

// NewReader wraps a connection so that ReadFrame can bound a line.
func NewReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 4<<10) }

// ReadFrame reads one frame. After an error other than UnknownKindError the connection is of no use.
func ReadFrame(r *bufio.Reader) (Frame, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > MaxLine {
			return Frame{}, ErrTooLong
		}
		if err == nil && line == nil {
			return Decode(part)
		}
		line = append(line, part...)
		if err == nil {
			return Decode(line)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, err
		}
	}
}

// Negotiate is the version to speak with a peer that said h, or a refusal to send.
func Negotiate(h Hello) (int, *Refusal) {
	v := min(ProtocolVersion, h.Newest)
	if v < max(OldestVersion, h.Oldest) {
		return 0, &Refusal{Code: RefusedVersion,
			Why: fmt.Sprintf("peer speaks %d to %d, this build %d to %d", h.Oldest, h.Newest, OldestVersion, ProtocolVersion)}
	}
	return v, nil
}

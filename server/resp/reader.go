package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Value is a reply as a client sees it. Kind is the wire's first byte: + - : $ * and RESP3's _ , # ! = ( % ~ > .
type Value struct {
	Kind  byte
	Null  bool
	Int   int64   // ':' and '#'
	Float float64 // ','
	Str   []byte  // '+' '-' '$' '!' '=' '('
	Elems []Value // '*' '~' '>', and '%' with keys and values in turn
}

// IsError reports whether the reply is an error.
func (v Value) IsError() bool { return v.Kind == '-' || v.Kind == '!' }

// Err returns the reply as a Go error, nil when it is none.
func (v Value) Err() error {
	if v.IsError() {
		return errors.New(string(v.Str))
	}
	return nil
}

// String prints the reply in redis-cli's manner on one line, for tests and logs.
func (v Value) String() string {
	switch {
	case v.Null:
		return "(nil)"
	case v.IsError():
		return "(error) " + string(v.Str)
	}
	switch v.Kind {
	case '+', '(':
		return string(v.Str)
	case ':':
		return "(integer) " + strconv.FormatInt(v.Int, 10)
	case ',':
		return "(double) " + strconv.FormatFloat(v.Float, 'g', -1, 64)
	case '#':
		return map[int64]string{0: "(false)", 1: "(true)"}[v.Int]
	case '$', '=':
		return strconv.Quote(string(v.Str))
	}
	out := string(v.Kind) + "["
	for i, e := range v.Elems {
		if i > 0 {
			out += " "
		}
		out += e.String()
	}
	return out + "]"
}

// Reader reads replies from a stream.
type Reader struct {
	r *bufio.Reader
	// MaxBytes bounds one string, so that a broken peer cannot ask for all memory; 0 means MaxBulk.
	MaxBytes int64
}

// NewReader reads from r. When r is a *bufio.Reader it is used as it is, so that the caller can go on after a reply.
func NewReader(r io.Reader) *Reader {
	if b, ok := r.(*bufio.Reader); ok {
		return &Reader{r: b}
	}
	return &Reader{r: bufio.NewReader(r)}
}

// Buffered is the buffer the Reader reads from; bytes after the last reply are in it.
func (r *Reader) Buffered() *bufio.Reader { return r.r }

const maxDepth = 64

// Read returns the next reply. Its memory is its own.
func (r *Reader) Read() (Value, error) { return r.read(0) }

func (r *Reader) read(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, errors.New("resp: reply nested too deeply")
	}
	line, err := r.line()
	if err != nil {
		return Value{}, err
	}
	if len(line) == 0 {
		return Value{}, errors.New("resp: empty line where a reply should start")
	}
	v, rest := Value{Kind: line[0]}, line[1:]
	switch v.Kind {
	case '+', '-', '(':
		v.Str = append([]byte(nil), rest...)
		return v, nil
	case ':':
		n, ok := ParseInt(rest)
		if !ok {
			return v, fmt.Errorf("resp: bad integer %q", rest)
		}
		v.Int = n
		return v, nil
	case '_':
		v.Null = true
		return v, nil
	case '#':
		if len(rest) == 1 && rest[0] == 't' {
			v.Int = 1
		}
		return v, nil
	case ',':
		v.Float, err = parseDouble(string(rest))
		return v, err
	}
	n, ok := ParseInt(rest)
	if !ok || n < -1 || n > MaxMultibulk {
		return v, fmt.Errorf("resp: bad length %q", line)
	}
	if n == -1 {
		v.Null = true
		return v, nil
	}
	return r.sized(v, n, depth)
}

// sized reads the body of a reply that announced n bytes or elements.
func (r *Reader) sized(v Value, n int64, depth int) (Value, error) {
	switch v.Kind {
	case '$', '!', '=':
		limit := r.MaxBytes
		if limit == 0 {
			limit = MaxBulk
		}
		if n > limit {
			return v, fmt.Errorf("resp: string of %d bytes exceeds the limit of %d", n, limit)
		}
		body, err := r.body(n + 2)
		if err != nil {
			return v, err
		}
		v.Str = body[:n:n]
		return v, nil
	case '|':
		for range 2 * n {
			if _, err := r.read(depth + 1); err != nil {
				return v, err
			}
		}
		return r.read(depth + 1) // attributes in a row are no way around the limit
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return v, fmt.Errorf("resp: unknown reply type %q", v.Kind)
	}
	for range n {
		e, err := r.read(depth + 1)
		if err != nil {
			return v, err
		}
		v.Elems = append(v.Elems, e)
	}
	return v, nil
}

// body reads n bytes. Memory grows as they arrive: an announced length is not believed.
func (r *Reader) body(n int64) ([]byte, error) {
	const step = 1 << 20
	body := make([]byte, min(n, step))
	for at := int64(0); ; {
		if _, err := io.ReadFull(r.r, body[at:]); err != nil {
			return nil, err
		}
		if at = int64(len(body)); at == n {
			return body, nil
		}
		body = append(body, make([]byte, min(n-at, at))...)
	}
}

func (r *Reader) line() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) < MaxInline {
			line, err = r.r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("resp: line %q does not end with CRLF", line)
	}
	return line[:len(line)-2], nil
}

func parseDouble(s string) (float64, error) {
	switch s {
	case "inf":
		return math.Inf(1), nil
	case "-inf":
		return math.Inf(-1), nil
	}
	return strconv.ParseFloat(s, 64)
}

package resp

import (
	"bytes"
	"fmt"
)

// Limits of the protocol, Redis' values.
const (
	MaxInline     = 64 << 10  // an inline request, and the digits of a count, without their line end
	MaxMultibulk  = 1<<31 - 1 // arguments of one command
	MaxBulk       = 512 << 20 // bytes of one argument; the directive proto-max-bulk-len moves it
	guestMaxArgs  = 10        // before authentication
	guestMaxBytes = 16 << 10
)

// ProtocolError is a violation after which the connection cannot be understood any more: reply with Error and close.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return "Protocol error: " + e.Text }

var (
	errInlineSize  = &ProtocolError{"too big inline request"}
	errQuotes      = &ProtocolError{"unbalanced quotes in request"}
	errCountString = &ProtocolError{"too big mbulk count string"}
	errMultibulk   = &ProtocolError{"invalid multibulk length"}
	errGuestArgs   = &ProtocolError{"unauthenticated multibulk length"}
	errBulkString  = &ProtocolError{"too big bulk count string"}
	errBulk        = &ProtocolError{"invalid bulk length"}
	errGuestBulk   = &ProtocolError{"unauthenticated bulk length"}
)

// span is an argument's place relative to the start of its command.
type span struct{ from, to int }

// Parser finds commands in a growing buffer. It remembers how far an incomplete command was read, so that bytes which
// arrive one by one are not scanned again. The zero value is ready and applies the limits of an authenticated client.
type Parser struct {
	MaxBulk int64 // 0 means MaxBulk; negative means no limit (a master's stream)
	Guest   bool  // not authenticated yet: small limits

	// State of an incomplete multibulk command; pos is 0 when none was begun.
	pos     int
	left    int // arguments still to come
	bulk    int // length of the argument that is being read; -1 when its header is not read yet
	partial []span
}

// Reset forgets an incomplete command.
func (p *Parser) Reset() {
	p.pos, p.left, p.partial = 0, 0, p.partial[:0]
}

// Pending reports whether an incomplete command was begun.
func (p *Parser) Pending() bool { return p.pos > 0 }

// Done is how many bytes of an incomplete command are arguments already: Redis has moved those out of the query buffer.
func (p *Parser) Done() int { return p.pos }

// Need is the least number of bytes that the buffer must hold before Next can go on; 0 when that is unknown.
func (p *Parser) Need() int {
	if p.pos == 0 || p.left == 0 || p.bulk < 0 {
		return 0
	}
	return p.pos + p.bulk + 2
}

// bigArg is the length from which Redis keeps an argument in a buffer of its own.
const bigArg = 32 << 10

// Held tells how the bytes of an incomplete command divide: those before an incomplete big argument, and those of the
// arguments among them that are whole. Both are 0 when it is not in a big argument.
func (p *Parser) Held() (before, whole int) {
	if p.pos == 0 || p.bulk < bigArg {
		return 0, 0
	}
	for _, s := range p.partial {
		whole += s.to - s.from
	}
	return p.pos, whole
}

// Next looks for one command at the start of buf. It appends the arguments to args (pointing into buf, but for quoted
// inline ones) and returns how many bytes the command took. consumed 0 without error means: call again with more
// bytes, buf starting at the same byte. A command without arguments (an empty line) consumes bytes and appends nothing.
func (p *Parser) Next(buf []byte, args [][]byte) (_ [][]byte, consumed int, err error) {
	if len(buf) == 0 {
		return args, 0, nil
	}
	if p.pos == 0 {
		if buf[0] != '*' {
			return p.inline(buf, args)
		}
		if args, n := quick(buf, args); n > 0 && (p.MaxBulk <= 0 || p.MaxBulk > quickBulk) {
			return args, n, nil
		}
	}
	return p.multibulk(buf, args)
}

// quickBulk is the longest argument that quick takes. It is within the limits of any client.
const quickBulk = 9999

// quick is Next for what nearly every command is: all there, of less than ten arguments, none of them long. It leaves all others,
// wrong ones among them, to multibulk, with consumed 0 and args as they were.
func quick(buf []byte, args [][]byte) (_ [][]byte, consumed int) {
	if len(buf) < 4 || buf[2] != '\r' || buf[1] < '1' || buf[1] > '9' {
		return args, 0
	}
	first := len(args)
	pos, left := 4, int(buf[1]-'0')
	for ; left > 0; left-- {
		if pos+5 >= len(buf) || buf[pos] != '$' { // the shortest argument is $0, and two line ends
			return args[:first], 0
		}
		h := buf[pos+1 : pos+6]
		n := int(h[0] - '0')
		if n > 9 {
			return args[:first], 0
		}
		pos += 4
		if h[1] != '\r' {
			if n == 0 {
				return args[:first], 0
			}
			for i := 1; ; i++ {
				d := int(h[i] - '0')
				if d > 9 || i == 4 {
					return args[:first], 0
				}
				n = n*10 + d
				pos++
				if h[i+1] == '\r' {
					break
				}
			}
		}
		end := pos + n
		if end+2 > len(buf) {
			return args[:first], 0
		}
		args = append(args, buf[pos:end:end])
		pos = end + 2
	}
	return args, pos
}

func (p *Parser) multibulk(buf []byte, args [][]byte) ([][]byte, int, error) {
	pos, left, bulk := p.pos, p.left, p.bulk
	resumed := pos > 0
	first, start := len(args), 0
	if !resumed {
		n, next, err := readCount(buf, 1, errCountString, errMultibulk)
		if err != nil || next == 0 {
			return args, 0, err
		}
		if err := p.checkArgs(n); err != nil {
			return args, 0, err
		}
		if n <= 0 {
			return args, next, nil
		}
		pos, left, bulk, start = next, int(n), -1, next
	}
	for left > 0 {
		if bulk < 0 {
			n, next, err := p.bulkHeader(buf, pos)
			if err != nil {
				return args[:first], 0, err
			}
			if next == 0 {
				break
			}
			pos, bulk = next, n
		}
		end := pos + bulk
		if len(buf) < end+2 {
			break
		}
		if resumed {
			p.partial = append(p.partial, span{pos, end})
		} else {
			args = append(args, buf[pos:end:end])
		}
		pos, bulk = end+2, -1
		left--
	}
	if left > 0 {
		p.suspend(start, pos, left, bulk, args[first:])
		return args[:first], 0, nil
	}
	if resumed {
		for _, s := range p.partial {
			args = append(args, buf[s.from:s.to:s.to])
		}
		p.Reset()
	}
	return args, pos, nil
}

// suspend keeps where to go on. The arguments found so far become places, since buf may move before the next call.
// Headers are canonical (no leading zeros pass), so the places follow from the lengths; start is the first header's.
func (p *Parser) suspend(start, pos, left, bulk int, found [][]byte) {
	if p.pos == 0 {
		p.partial = p.partial[:0]
		at := start
		for _, a := range found {
			at += len("$\r\n") + digits(len(a))
			p.partial = append(p.partial, span{at, at + len(a)})
			at += len(a) + 2
		}
	}
	p.pos, p.left, p.bulk = pos, left, bulk
}

func digits(n int) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

func (p *Parser) checkArgs(n int64) error {
	switch {
	case n > MaxMultibulk:
		return errMultibulk
	case n > guestMaxArgs && p.Guest:
		return errGuestArgs
	}
	return nil
}

// bulkHeader reads "$n\r\n" at pos; next 0 means incomplete.
func (p *Parser) bulkHeader(buf []byte, pos int) (n, next int, err error) {
	// Fast path: one or two digits, which is nearly every argument.
	if len(buf) >= pos+5 && buf[pos] == '$' {
		a, b := buf[pos+1]-'0', buf[pos+2]-'0'
		if a <= 9 && buf[pos+2] == '\r' {
			return int(a), pos + 4, nil
		}
		if a-1 <= 8 && b <= 9 && buf[pos+3] == '\r' {
			return int(a)*10 + int(b), pos + 5, nil
		}
	}
	if pos < len(buf) && buf[pos] != '$' && bytes.IndexByte(buf[pos:], '\r') >= 0 {
		return 0, 0, &ProtocolError{fmt.Sprintf("expected '$', got '%c'", buf[pos])}
	}
	size, next, err := readCount(buf, pos+1, errBulkString, errBulk)
	if err != nil || next == 0 {
		return 0, 0, err
	}
	limit := p.MaxBulk
	if limit == 0 {
		limit = MaxBulk
	}
	switch {
	case size < 0, limit > 0 && size > limit, size > 1<<40:
		return 0, 0, errBulk
	case size > guestMaxBytes && p.Guest:
		return 0, 0, errGuestBulk
	}
	return int(size), next, nil
}

// readCount reads the decimal number that starts at from and ends with CRLF; next is the byte after, 0 if incomplete.
func readCount(buf []byte, from int, tooLong, invalid error) (n int64, next int, err error) {
	if from > len(buf) {
		return 0, 0, nil
	}
	// Fast path: one digit.
	if len(buf) >= from+3 && buf[from+1] == '\r' {
		if d := buf[from] - '0'; d <= 9 {
			return int64(d), from + 3, nil
		}
	}
	end := bytes.IndexByte(buf[from:], '\r')
	if end < 0 {
		if len(buf)-from+1 > MaxInline {
			return 0, 0, tooLong
		}
		return 0, 0, nil
	}
	if end >= MaxInline { // however the bytes were cut, the limit is the same
		return 0, 0, tooLong
	}
	if from+end+2 > len(buf) {
		return 0, 0, nil
	}
	n, ok := ParseInt(buf[from : from+end])
	if !ok {
		return 0, 0, invalid
	}
	return n, from + end + 2, nil
}

// ParseInt reads a decimal integer as Redis' string2ll does: no spaces, no plus sign, no leading zeros, 64 bits.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if neg {
		if v > 1<<63 {
			return 0, false
		}
		return -int64(v), true
	}
	if v > 1<<63-1 {
		return 0, false
	}
	return int64(v), true
}

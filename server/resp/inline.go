package resp

import "bytes"

func (p *Parser) inline(buf []byte, args [][]byte) ([][]byte, int, error) {
	nl := bytes.IndexByte(buf, '\n')
	if nl < 0 {
		if len(buf) > MaxInline {
			return args, 0, errInlineSize
		}
		return args, 0, nil
	}
	if nl > MaxInline { // however the bytes were cut, the limit is the same
		return args, 0, errInlineSize
	}
	line := buf[:nl]
	if nl > 0 && line[nl-1] == '\r' {
		line = line[:nl-1]
	}
	args, ok := SplitArgs(line, args)
	if !ok {
		return args, 0, errQuotes
	}
	return args, nl + 1, nil
}

// SplitArgs splits a line as redis-cli and redis.conf do: words separated by blanks, "..." with \n \r \t \b \a \xHH
// escapes, '...' with \' only; a quote must be followed by a blank or the end. ok is false for unbalanced quotes.
func SplitArgs(line []byte, args [][]byte) (_ [][]byte, ok bool) {
	first := len(args)
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i >= len(line) || line[i] == 0 {
			return args, true
		}
		start := i
		for i < len(line) && !isSpace(line[i]) && line[i] != '"' && line[i] != '\'' && line[i] != 0 {
			i++
		}
		if i >= len(line) || (line[i] != '"' && line[i] != '\'') {
			args = append(args, line[start:i:i])
			continue
		}
		word, next, good := quotedWord(line, start)
		if !good {
			return args[:first], false
		}
		args = append(args, word)
		i = next
	}
}

// quotedWord reads a word in which quotes occur. The result is new memory.
func quotedWord(line []byte, i int) (word []byte, next int, ok bool) {
	word = make([]byte, 0, len(line)-i)
	for i < len(line) && !isSpace(line[i]) && line[i] != 0 {
		switch line[i] {
		case '"':
			word, i, ok = doubleQuoted(line, i+1, word)
			return word, i, ok
		case '\'':
			word, i, ok = singleQuoted(line, i+1, word)
			return word, i, ok
		default:
			word = append(word, line[i])
			i++
		}
	}
	return word, i, true
}

func doubleQuoted(line []byte, i int, word []byte) ([]byte, int, bool) {
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return word, i + 1, wordEnds(line, i+1)
		case c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			word = append(word, unhex(line[i+2])<<4|unhex(line[i+3]))
			i += 3
		case c == '\\' && i+1 < len(line):
			i++
			word = append(word, unescape(line[i]))
		default:
			word = append(word, c)
		}
	}
	return nil, 0, false
}

func singleQuoted(line []byte, i int, word []byte) ([]byte, int, bool) {
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			return word, i + 1, wordEnds(line, i+1)
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			word = append(word, '\'')
			i++
		default:
			word = append(word, c)
		}
	}
	return nil, 0, false
}

func wordEnds(line []byte, i int) bool { return i >= len(line) || isSpace(line[i]) }

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func isHex(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// AppendQuoted appends a word in quotes, as MONITOR prints it and SplitArgs reads it.
func AppendQuoted(dst, word []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range word {
		switch c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\a':
			dst = append(dst, `\a`...)
		case '\b':
			dst = append(dst, `\b`...)
		default:
			if c >= ' ' && c < 0x7f {
				dst = append(dst, c)
			} else {
				dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
			}
		}
	}
	return append(dst, '"')
}

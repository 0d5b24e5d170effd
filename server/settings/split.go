package settings

import "strings"

// splitWords cuts a line into words as redis.conf does: words are parted by white space; "..." takes
// \n \r \t \b \a \xHH and \c; '...' takes \' only; a closing quote must be followed by space or the
// end. It answers false when a quote is left open.
func splitWords(line string) ([]string, bool) {
	var words []string
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return words, true
		}
		word, next, ok := nextWord(line, i)
		if !ok {
			return nil, false
		}
		words = append(words, word)
		i = next
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func nextWord(line string, i int) (word string, next int, ok bool) {
	var b []byte
	for i < len(line) {
		c := line[i]
		switch {
		case c == '"' || c == '\'':
			var part []byte
			part, i, ok = quoted(line, i+1, c)
			if !ok || (i < len(line) && !isSpace(line[i])) {
				return "", 0, false
			}
			b = append(b, part...)
			return string(b), i, true
		case isSpace(c) || c == 0:
			return string(b), i + 1, true
		default:
			b = append(b, c)
			i++
		}
	}
	return string(b), i, true
}

// quoted reads up to the closing quote and answers the position behind it.
func quoted(line string, i int, quote byte) (part []byte, next int, ok bool) {
	for i < len(line) {
		c := line[i]
		switch {
		case c == quote:
			return part, i + 1, true
		case quote == '\'' && c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			part = append(part, '\'')
			i += 2
		case quote == '"' && c == '\\' && i+3 < len(line) && line[i+1] == 'x' && hex(line[i+2]) >= 0 && hex(line[i+3]) >= 0:
			part = append(part, byte(hex(line[i+2])<<4|hex(line[i+3])))
			i += 4
		case quote == '"' && c == '\\' && i+1 < len(line):
			part = append(part, unescape(line[i+1]))
			i += 2
		default:
			part = append(part, c)
			i++
		}
	}
	return nil, 0, false
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
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

// quote writes a word so that splitWords reads it back, whatever bytes it holds.
func quote(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if c >= ' ' && c < 0x7f {
				b.WriteByte(c)
				continue
			}
			b.WriteString(`\x`)
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	b.WriteByte('"')
	return b.String()
}

package settings

import (
	"strings"

	"github.com/understudy-db/understudy/server/resp"
)

// splitWords cuts a line into words with the quoting of redis.conf, which is that of inline
// commands. It answers false when a quote is left open.
func splitWords(line string) ([]string, bool) {
	parts, ok := resp.SplitArgs([]byte(line), nil)
	if !ok {
		return nil, false
	}
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = string(p)
	}
	return words, true
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

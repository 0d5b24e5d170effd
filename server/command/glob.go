package command

// Match tells whether s matches a glob-style pattern: *, ?, [a-z], [^a], and \ to take a character literally. It decides
// every case as Redis does (stringmatchlen in util.c), unterminated classes included.
func Match(pattern, s []byte) bool {
	m := matcher{}
	return m.match(pattern, s)
}

// MatchFold is Match without regard to the case of ASCII letters.
func MatchFold(pattern, s []byte) bool {
	m := matcher{fold: true}
	return m.match(pattern, s)
}

type matcher struct {
	fold bool
	// hopeless: the rest behind the last '*' matches nowhere in s, so a longer match for an earlier '*' cannot help.
	// Without it a pattern of many stars takes exponential time.
	hopeless bool
}

func (m *matcher) match(p, s []byte) bool {
	for len(p) > 0 && len(s) > 0 {
		switch p[0] {
		case '*':
			return m.star(p, s)
		case '?':
			s = s[1:]
		case '[':
			var hit bool
			if p, hit = m.class(p[1:], s[0]); !hit {
				return false
			}
			s = s[1:]
		default:
			if p[0] == '\\' && len(p) >= 2 {
				p = p[1:]
			}
			if m.lower(p[0]) != m.lower(s[0]) {
				return false
			}
			s = s[1:]
		}
		if len(p) > 0 {
			p = p[1:]
		}
		if len(s) == 0 {
			for len(p) > 0 && p[0] == '*' {
				p = p[1:]
			}
			break
		}
	}
	return len(p) == 0 && len(s) == 0
}

func (m *matcher) star(p, s []byte) bool {
	for len(p) > 1 && p[1] == '*' {
		p = p[1:]
	}
	if len(p) == 1 {
		return true
	}
	for ; len(s) > 0; s = s[1:] {
		if m.match(p[1:], s) {
			return true
		}
		if m.hopeless {
			return false
		}
	}
	m.hopeless = true
	return false
}

// class matches b with the character class whose inside begins at p. It returns p at the closing bracket (empty when
// there is none: the caller's step beyond it ends the pattern).
func (m *matcher) class(p []byte, b byte) (rest []byte, hit bool) {
	not := len(p) > 0 && p[0] == '^'
	if not {
		p = p[1:]
	}
	for {
		switch {
		case len(p) >= 2 && p[0] == '\\':
			p = p[1:]
			hit = hit || p[0] == b
		case len(p) == 0 || p[0] == ']':
			return p, hit != not
		case len(p) >= 3 && p[1] == '-':
			// Ordered as signed characters, which is what they are in Redis: [a-\xff] is the range \xff..a.
			low, high := min(int8(p[0]), int8(p[2])), max(int8(p[0]), int8(p[2]))
			c := int8(m.lower(b))
			hit = hit || int8(m.lower(byte(low))) <= c && c <= int8(m.lower(byte(high)))
			p = p[2:]
		default:
			hit = hit || m.lower(p[0]) == m.lower(b)
		}
		p = p[1:]
	}
}

func (m *matcher) lower(b byte) byte {
	if m.fold && 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

package settings

import "strings"

// matchFold is Redis' glob: * ? [abc] [^a] [a-z] and \c, without regard to case. Directive names are
// short and patterns come from administrators, so the plain recursion is bounded by cutting runs of
// stars and the pattern's length.
func matchFold(pattern, name string) bool {
	if len(pattern) > 256 {
		return false
	}
	skip := false
	return match(strings.ToLower(pattern), strings.ToLower(name), &skip)
}

// match sets skip when the rest of the name was exhausted under a star: no longer prefix can match
// either, which keeps the recursion from growing exponentially.
func match(p, s string, skip *bool) bool {
	for len(p) > 0 && len(s) > 0 {
		switch p[0] {
		case '*':
			p = strings.TrimLeft(p, "*")
			if p == "" {
				return true
			}
			for ; len(s) > 0; s = s[1:] {
				if match(p, s, skip) {
					return true
				}
				if *skip {
					return false
				}
			}
			*skip = true
			return false
		case '?':
			p = p[1:]
		case '[':
			rest, ok := matchClass(p[1:], s[0])
			if !ok {
				return false
			}
			p = rest
		default:
			if p[0] == '\\' && len(p) > 1 {
				p = p[1:]
			}
			if p[0] != s[0] {
				return false
			}
			p = p[1:]
		}
		s = s[1:]
	}
	return s == "" && strings.TrimLeft(p, "*") == ""
}

// matchClass matches one character against the class behind '[' and answers what follows it. A class
// that is not closed ends with the pattern.
func matchClass(p string, c byte) (rest string, ok bool) {
	not := strings.HasPrefix(p, "^")
	if not {
		p = p[1:]
	}
	hit := false
	for len(p) > 0 && p[0] != ']' {
		switch {
		case p[0] == '\\' && len(p) > 1:
			hit = hit || p[1] == c
			p = p[2:]
		case len(p) > 2 && p[1] == '-':
			lo, hi := min(p[0], p[2]), max(p[0], p[2])
			hit = hit || c >= lo && c <= hi
			p = p[3:]
		default:
			hit = hit || p[0] == c
			p = p[1:]
		}
	}
	return strings.TrimPrefix(p, "]"), hit != not
}

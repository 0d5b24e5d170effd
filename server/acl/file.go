package acl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MergeSelectors joins the words of a selector, "(", "+get", "~a" and ")", to one rule each. An error names the word at
// which a selector begins that has no end.
func MergeSelectors(words []string) (rules []string, unmatched string, ok bool) {
	var open []string
	for _, w := range words {
		switch {
		case strings.HasPrefix(w, "(") && !strings.HasSuffix(w, ")"): // as in Redis what another one has begun is forgotten
			open = []string{w}
		case open == nil:
			rules = append(rules, w)
		default:
			open = append(open, w)
			if strings.HasSuffix(w, ")") {
				rules, open = append(rules, strings.Join(open, " ")), nil
			}
		}
	}
	if open != nil {
		return nil, open[0], false
	}
	return rules, "", true
}

// RuleError is a rule that does not apply.
type RuleError struct {
	Rule string
	Err  error
}

func (e *RuleError) Error() string { return "'" + e.Rule + "': " + e.Err.Error() }
func (e *RuleError) Unwrap() error { return e.Err }

// ApplyAll follows rules in order, up to the first that is wrong.
func (u *User) ApplyAll(rules []string) *RuleError {
	for _, r := range rules {
		if err := u.Apply(r); err != nil {
			return &RuleError{r, err}
		}
	}
	return nil
}

// ValidName tells whether a file can name the user.
func ValidName(name string) bool { return !hasSpaces(name) }

// Declare reads the words of a line "user name rules...", the first word left out, of a configuration file. old are the
// users declared so far.
func (sp *Space) Declare(words []string, old []*User) (*User, error) {
	wrong := func(word string, err error) (*User, error) {
		return nil, fmt.Errorf("Error in user declaration '%s': %w", word, err) //nolint:staticcheck // Redis' text
	}
	name := words[0]
	rules, unmatched, ok := MergeSelectors(words[1:])
	switch {
	case slices.ContainsFunc(old, func(u *User) bool { return u.Name == name }):
		return wrong(name, errDuplicate)
	case !ValidName(name):
		return wrong(name, ErrName)
	case !ok:
		return wrong(unmatched, errors.New("Unmatched parenthesis in selector definition")) //nolint:staticcheck // Redis' text
	}
	u := sp.NewUser(name)
	if name == "default" {
		u.reset() // as if the rules were given to the one that is there
	}
	if err := u.ApplyAll(rules); err != nil {
		return wrong(err.Rule, err.Err)
	}
	return u, nil
}

// ParseFile reads a file of users. The error tells of every line that is wrong.
func (sp *Space) ParseFile(path, text string) ([]*User, error) {
	var users []*User
	var wrong strings.Builder
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" {
			continue
		}
		u, problem := sp.parseLine(line, users)
		switch {
		case problem == "":
			users = append(users, u)
		case strings.HasPrefix(problem, " "):
			fmt.Fprintf(&wrong, "%s:%d%s", path, i+1, problem)
		default:
			fmt.Fprintf(&wrong, problem, i+1)
		}
	}
	if wrong.Len() > 0 {
		return nil, errors.New(wrong.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	return users, nil
}

// parseLine answers a user or what is wrong: what begins with a space follows the place in the file, anything else has a
// place for the line's number.
func (sp *Space) parseLine(line string, old []*User) (u *User, problem string) {
	words := strings.Split(line, " ")
	if words[0] != "user" || len(words) < 2 {
		return nil, " should start with user keyword followed by the username. "
	}
	name := words[1]
	switch {
	case slices.ContainsFunc(old, func(u *User) bool { return u.Name == name }):
		return nil, "WARNING: Duplicate user '" + strings.ReplaceAll(name, "%", "%%") + "' found on line %d. "
	case !ValidName(name):
		return nil, " username '" + name + "' contains invalid characters. "
	}
	rules, _, ok := MergeSelectors(slices.DeleteFunc(words[2:], func(w string) bool { return w == "" }))
	if !ok {
		return nil, ": Unmatched parenthesis in selector definition."
	}
	u = sp.NewUser(name)
	if err := u.ApplyAll(rules); err != nil {
		if errors.Is(err.Err, errUnknown) {
			return nil, ": Error in applying operation '" + err.Rule + "': " + err.Err.Error() + ". "
		}
		return nil, ": " + err.Err.Error() + ". "
	}
	return u, ""
}

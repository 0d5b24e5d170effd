package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/understudy-db/understudy/server/command"
)

// Space is what all users of a server share.
type Space struct {
	Table *command.Table
	// AllChannels is acl-pubsub-default allchannels: new users may use every channel.
	AllChannels func() bool
}

// User is an account.
type User struct {
	Name string

	sp        *Space
	enabled   bool
	noPass    bool
	skipCheck bool     // skip-sanitize-payload
	checks    bool     // sanitize-payload was given
	passwords []string // SHA-256, hexadecimal
	selectors []*selector
}

// NewUser makes a user who may nothing and is off.
func (sp *Space) NewUser(name string) *User {
	return &User{Name: name, sp: sp, selectors: []*selector{sp.newSelector()}}
}

// NewDefault makes the user as whom clients begin: on, without a password, unrestricted.
func (sp *Space) NewDefault() *User {
	u := sp.NewUser("default")
	for _, rule := range []string{"+@all", "~*", "&*", "on", "nopass"} {
		if err := u.Apply(rule); err != nil {
			panic("acl: " + rule + ": " + err.Error()) // our own rules
		}
	}
	return u
}

func (sp *Space) newSelector() *selector {
	s := newSelector(sp.Table)
	s.allChannels = sp.AllChannels != nil && sp.AllChannels()
	return s
}

// Clone makes a user of the same rules and name, to try rules on.
func (u *User) Clone() *User {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = make([]*selector, len(u.selectors))
	for i, s := range u.selectors {
		c.selectors[i] = s.clone()
	}
	return &c
}

// Become takes over the rules of another user, who must not be changed afterwards. Whoever holds u sees them from now on.
func (u *User) Become(o *User) {
	name := u.Name
	*u = *o
	u.Name = name
}

// Enabled tells whether the user may log in.
func (u *User) Enabled() bool { return u.enabled }

// NoPass tells whether every password is right.
func (u *User) NoPass() bool { return u.noPass }

// Unrestricted tells whether nothing is forbidden, now and for commands to come.
func (u *User) Unrestricted() bool { return slices.ContainsFunc(u.selectors, (*selector).unrestricted) }

// Hash is a password as it is kept.
func Hash(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// Knows tells whether this is one of the user's passwords, in a time that tells nothing about them.
func (u *User) Knows(password []byte) bool {
	if u.noPass {
		return true
	}
	hash, found := []byte(Hash(password)), 0
	for _, p := range u.passwords {
		found |= subtle.ConstantTimeCompare(hash, []byte(p))
	}
	return found == 1
}

// Apply follows one rule, as ACL SETUSER takes them. The user is unchanged after an error.
func (u *User) Apply(rule string) error {
	switch word := strings.ToLower(rule); word {
	case "on", "off":
		u.enabled = word == "on"
	case "nopass":
		u.noPass, u.passwords = true, nil
	case "resetpass":
		u.noPass, u.passwords = false, nil
	case "sanitize-payload":
		u.skipCheck, u.checks = false, true
	case "skip-sanitize-payload":
		u.skipCheck, u.checks = true, false
	case "clearselectors":
		u.selectors = u.selectors[:1:1]
	case "reset":
		u.reset()
	default:
		return u.applyOther(rule)
	}
	return nil
}

func (u *User) reset() {
	u.enabled, u.noPass, u.skipCheck, u.checks, u.passwords, u.selectors = false, false, false, true, nil, []*selector{u.sp.newSelector()}
}

func (u *User) applyOther(rule string) error {
	if rule == "" {
		return nil
	}
	switch rule[0] {
	case '>', '#':
		return u.addPassword(rule)
	case '<', '!':
		return u.removePassword(rule)
	case '(':
		if rule[len(rule)-1] != ')' {
			return errSyntax
		}
		return u.addSelector(rule[1 : len(rule)-1])
	}
	return u.selectors[0].apply(rule)
}

// hashOf reads the password of >password, <password, #hash and !hash.
func hashOf(rule string) (string, error) {
	if rule[0] == '>' || rule[0] == '<' {
		return Hash([]byte(rule[1:])), nil
	}
	hash := rule[1:]
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", errHash
	}
	return hash, nil
}

func (u *User) addPassword(rule string) error {
	hash, err := hashOf(rule)
	if err != nil {
		return err
	}
	if !slices.Contains(u.passwords, hash) {
		u.passwords = append(u.passwords, hash)
	}
	u.noPass = false
	return nil
}

func (u *User) removePassword(rule string) error {
	hash, err := hashOf(rule)
	if err != nil {
		return err
	}
	i := slices.Index(u.passwords, hash)
	if i < 0 {
		return errNoSuchPwd
	}
	u.passwords = slices.Delete(u.passwords, i, i+1)
	return nil
}

func (u *User) addSelector(rules string) error {
	s := u.sp.newSelector()
	for _, rule := range strings.Fields(rules) {
		if err := s.apply(rule); err != nil {
			return err
		}
	}
	u.selectors = append(u.selectors, s)
	return nil
}

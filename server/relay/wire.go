package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Magic is the first byte of a request: no command begins with it.
const Magic = 0

const (
	requestWord = "\x00UNDERSTUDY-RELAY-1 "
	backWord    = "\x00UNDERSTUDY-BACK-1 "
	answerYes   = "\x00YES\n"
	answerNo    = "\x00NO "

	// MaxRequest bounds a request, whose sender nobody knows yet.
	MaxRequest = 16 << 10
	// MaxState bounds the state in it: a bigger session cannot be carried.
	MaxState   = MaxRequest - 2<<10
	maxAnswer  = 512
	markDigits = 32
)

// Request asks a member to serve, as the master, a connection that came in elsewhere.
type Request struct {
	Set string `json:"set"`
	// Mark is the word behind which the connection comes back, in hexadecimal digits.
	Mark string `json:"mark"`
	// Auth tells that the client had authenticated itself; Password proves that the sender may say so.
	Auth     bool   `json:"auth,omitempty"`
	Password string `json:"password,omitempty"`
	// State is the session's; empty for a new connection.
	State json.RawMessage `json:"state,omitempty"`
}

var errRequest = errors.New("not a relay's request")

// Encode is the request as it is sent. It fails when the state is too big to be carried.
func (q Request) Encode() ([]byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	text := append(fmt.Appendf(nil, "%s%d\n", requestWord, len(body)), body...)
	if len(text) > MaxRequest {
		return nil, fmt.Errorf("a session of %d bytes is too big to be carried", len(body))
	}
	return text, nil
}

// ParseRequest reads a request at the start of b and answers its length, 0 while it is incomplete. After an error the
// connection is of no use.
func ParseRequest(b []byte) (q Request, n int, err error) {
	head, from, err := header(b, requestWord)
	if from == 0 || err != nil {
		return q, 0, err
	}
	var size int
	if _, err := fmt.Sscanf(head, "%d", &size); err != nil || size < 2 || from+size > MaxRequest {
		return q, 0, errRequest
	}
	if len(b) < from+size {
		return q, 0, nil
	}
	if err := json.Unmarshal(b[from:from+size], &q); err != nil {
		return q, 0, fmt.Errorf("%w: %w", errRequest, err)
	}
	if _, err := hex.DecodeString(q.Mark); err != nil || len(q.Mark) != markDigits {
		return q, 0, errRequest
	}
	return q, from + size, nil
}

// header reads "<word><rest>\n" and answers the rest and where it ends, 0 while that is not in sight.
func header(b []byte, word string) (rest string, n int, err error) {
	known := min(len(b), len(word))
	if string(b[:known]) != word[:known] {
		return "", 0, errRequest
	}
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) > len(word)+32:
		return "", 0, errRequest
	case end < 0:
		return "", 0, nil
	case end < len(word):
		return "", 0, errRequest
	}
	return string(b[len(word):end]), end + 1, nil
}

// Yes and No are the answers to a request.
func Yes() []byte { return []byte(answerYes) }

// No refuses, with a reason in one line.
func No(why string) []byte { return append(append([]byte(answerNo), why...), '\n') }

// Reasons for a refusal that repeating the request does not change.
const (
	WhyForeign  = "another set"
	WhyPassword = "wrong password"
	WhyState    = "the session's state cannot be read"
)

// parseAnswer reads a whole answer; refusal is "" for yes.
func parseAnswer(line string) (refusal string, err error) {
	if line == answerYes {
		return "", nil
	}
	why, ok := strings.CutPrefix(line, answerNo)
	if !ok {
		return "", fmt.Errorf("answered %q", line)
	}
	return strings.TrimSuffix(why, "\n"), nil
}

// newMark chooses a word that no reply can hold but by guessing it.
func newMark() string {
	b := make([]byte, markDigits/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Mark is the word on the wire. Its one line feed is its last byte and every reply ends with one, so the end of a reply is
// never taken for the beginning of a mark.
func (q Request) MarkBytes() []byte { return append(append([]byte("\x00BACK-"), q.Mark...), '\n') }

// Back is a connection that a former master gives back.
type Back struct {
	State  json.RawMessage `json:"state,omitempty"`
	Auth   bool            `json:"auth,omitempty"`
	Unread []byte          `json:"-"` // not executed
}

// Encode is what follows the mark.
func (k Back) Encode() ([]byte, error) {
	body, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	text := append(fmt.Appendf(nil, "%s%d %d\n", backWord, len(body), len(k.Unread)), body...)
	return append(text, k.Unread...), nil
}

func parseBack(b []byte) (k Back, err error) {
	head, from, err := header(b, backWord)
	var size, unread int
	switch {
	case err != nil:
		return k, err
	case from == 0:
		return k, errors.New("the connection broke while it came back")
	}
	if _, err := fmt.Sscanf(head, "%d %d", &size, &unread); err != nil || size < 2 || unread < 0 || len(b)-from-size != unread {
		return k, errors.New("the connection did not come back whole")
	}
	if err := json.Unmarshal(b[from:from+size], &k); err != nil {
		return k, err
	}
	k.Unread = b[from+size:]
	return k, nil
}

// scanner finds a mark in bytes that come in pieces.
type scanner struct {
	mark []byte
	kept []byte // the beginning of a mark, perhaps
}

// feed answers what may go to the client, and once the mark has come, what followed it.
func (s *scanner) feed(p []byte) (out, behind []byte, found bool) {
	if len(s.kept) > 0 {
		p = append(s.kept, p...)
		s.kept = nil
	}
	if i := bytes.Index(p, s.mark); i >= 0 {
		return p[:i], p[i+len(s.mark):], true
	}
	for from := max(0, len(p)-len(s.mark)+1); from < len(p); from++ {
		if p[from] == s.mark[0] && bytes.HasPrefix(s.mark, p[from:]) {
			s.kept = append([]byte(nil), p[from:]...)
			return p[:from], nil, false
		}
	}
	return p, nil, false
}

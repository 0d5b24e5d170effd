package relay

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func sample() Request {
	return Request{Set: "set", Mark: newMark(), Auth: true, Password: "pw", State: []byte(`{"db":3}`)}
}

func TestRequestComesInPieces(t *testing.T) {
	q := sample()
	text, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if text[0] != Magic {
		t.Fatalf("begins with %q", text[0])
	}
	for n := range len(text) {
		if _, took, err := ParseRequest(text[:n]); took != 0 || err != nil {
			t.Fatalf("the first %d bytes: took %d, %v", n, took, err)
		}
	}
	got, n, err := ParseRequest(append(text, "PING\r\n"...))
	if err != nil || n != len(text) || got.Password != "pw" || !got.Auth || string(got.State) != `{"db":3}` || got.Mark != q.Mark {
		t.Fatalf("read %+v, %d of %d bytes, %v", got, n, len(text), err)
	}
}

func TestBadRequests(t *testing.T) {
	good, _ := sample().Encode()
	for what, text := range map[string]string{
		"another word":   "\x00UNDERSTUDY-RELAY-2 2\n{}",
		"no number":      requestWord + "x\n{}",
		"too long":       requestWord + "99999999\n",
		"negative":       requestWord + "-5\n{}",
		"endless header": requestWord + strings.Repeat("1", 100),
		"no JSON":        requestWord + "2\nxx",
		"no mark":        requestWord + "2\n{}",
		"odd mark":       strings.Replace(string(good), `"mark":"`, `"mark":"\n`, 1),
		"zeros":          strings.Repeat("\x00", 64),
	} {
		if _, n, err := ParseRequest([]byte(text)); err == nil {
			t.Errorf("%s: took %d bytes", what, n)
		}
	}
	q := sample()
	q.State = append(append([]byte(`"`), bytes.Repeat([]byte("x"), MaxRequest)...), '"')
	if _, err := q.Encode(); err == nil {
		t.Error("a session that is too big was encoded")
	}
}

func TestAnswers(t *testing.T) {
	if no, err := parseAnswer(string(Yes())); no != "" || err != nil {
		t.Errorf("yes: %q %v", no, err)
	}
	if no, err := parseAnswer(string(No("not the master"))); no != "not the master" || err != nil {
		t.Errorf("no: %q %v", no, err)
	}
	if _, err := parseAnswer("-ERR max number of clients reached\r\n"); err == nil {
		t.Error("an error of the server is taken for an answer")
	}
}

func TestBackIsWhole(t *testing.T) {
	k := Back{State: []byte(`{"db":1}`), Auth: true, Unread: []byte("SET k v\r\n\x00")}
	text, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseBack(text)
	if err != nil || string(got.Unread) != string(k.Unread) || !got.Auth || string(got.State) != `{"db":1}` {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range len(text) {
		if _, err := parseBack(text[:n]); err == nil {
			t.Fatalf("cut after %d of %d bytes, and nobody noticed", n, len(text))
		}
	}
}

// TestMarkIsFound cuts replies with a mark behind them into random pieces: every byte before the mark goes to the client, none
// of the mark does, and the end of a reply is never kept back.
func TestMarkIsFound(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		mark := sample().MarkBytes()
		replies := randomReplies(r, mark)
		stream := append(append(append([]byte(nil), replies...), mark...), "behind"...)
		var out, rest []byte
		s := scanner{mark: mark}
		for at, found := 0, false; !found; {
			n := min(1+r.IntN(40), len(stream)-at)
			var o, b []byte
			o, b, found = s.feed(append([]byte(nil), stream[at:at+n]...))
			at += n
			out = append(out, o...)
			if found {
				rest = append(append(rest, b...), stream[at:]...)
			} else if at <= len(replies) && stream[at-1] == '\n' && len(out) != at {
				t.Fatalf("%d bytes of a whole reply are kept back", at-len(out))
			}
		}
		if string(out) != string(replies) || string(rest) != "behind" {
			t.Fatalf("passed on %q of %q, behind %q", out, replies, rest)
		}
	}
}

func randomReplies(r *rand.Rand, mark []byte) (b []byte) {
	for range r.IntN(5) {
		switch r.IntN(3) {
		case 0:
			b = append(b, "+OK\r\n"...)
		case 1:
			b = append(append(b, "$9\r\n"...), mark[:min(9, len(mark))]...) // the beginning of a mark, as data
			b = append(b, "\r\n"...)
		case 2:
			b = append(b, "$3\r\n\x00\x00\x00\r\n"...)
		}
	}
	return b
}

func FuzzParse(f *testing.F) {
	text, _ := sample().Encode()
	back, _ := Back{State: []byte(`{}`), Unread: []byte("x")}.Encode()
	f.Add(text)
	f.Add(back)
	f.Fuzz(func(t *testing.T, b []byte) {
		q, n, err := ParseRequest(b)
		if n > len(b) || n > MaxRequest || (err != nil && n != 0) {
			t.Fatalf("took %d of %d bytes, %v", n, len(b), err)
		}
		if n > 0 && len(q.MarkBytes()) != len("\x00BACK-")+markDigits+1 {
			t.Fatalf("mark %q", q.Mark)
		}
		_, _ = parseBack(b)
	})
}

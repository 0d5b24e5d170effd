package abuse

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

var seed = flag.Uint64("seed", 0, "seed of the random bytes; 0 is a fresh one")

func random(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// malformed is what no client sends; a PING follows each, so that what is skipped in silence is seen too.
var malformed = []string{
	"*-1\r\n", "*0\r\n", "*-2147483648\r\n", "*2147483648\r\n", "*9223372036854775807\r\n", "*99999999999999999999999\r\n",
	"*1x\r\n", "*\r\n", "* 1\r\n", "*+1\r\n", "*01\r\n", "*1\n$4\nPING\n",
	"*1\r\n$-1\r\n", "*1\r\n$536870913\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$x\r\n", "*1\r\n$\r\n", "*1\r\n$04\r\nPING\r\n",
	"*1\r\n:4\r\nPING\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n\r\n", "*1\r\n$4\r\nPINGxx", "*2\r\n$4\r\nPING\r\n!1\r\nx\r\n",
	"*1\r\n$0\r\n\r\n", "*2\r\n$0\r\n\r\n$0\r\n\r\n", "*1\r\n$3\r\nfoo\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n",
	"\r\n", "\n\n\n", "   \r\n", "nonsense\r\n", "GET\r\n", "GET a b c\r\n", "SET \"a\r\n", "SET 'a\r\n", "SET \"a\"b c\r\n",
	"POST / HTTP/1.1\r\n", "$4\r\nPING\r\n", "+OK\r\n", ":1\r\n", "-ERR\r\n", "_\r\n",
	strings.Repeat("a", 200000), "*" + strings.Repeat("1", 200000), "*1\r\n$" + strings.Repeat("1", 200000),
	strings.Repeat("x ", 20000) + "\r\n", "*1\r\n" + strings.Repeat("$", 200000),
}

// withZero have a zero byte in an inline request: redis-server sees no line end behind it and waits for ever.
var withZero = []string{"\x00\r\n", "PING\x00PONG\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"}

// TestMalformedRequestsAreAnsweredAsRedisAnswers: the same bytes, the same errors, the same hang-ups, however they are cut.
func TestMalformedRequestsAreAnsweredAsRedisAnswers(t *testing.T) {
	v, real := newVictim(t), servertest.StartRedis(t)
	for _, in := range malformed {
		for _, step := range []int{len(in), 1, 7} {
			if step != len(in) && len(in) > 1000 {
				continue
			}
			ours, theirs := exchange(t, v.Port(), in, step), exchange(t, real.Port(), in, step)
			if ours != theirs {
				t.Errorf("%.80q in pieces of %d: answered\n%.300q, redis-server\n%.300q", in, step, ours, theirs)
			}
		}
	}
	for _, in := range withZero {
		if got := exchange(t, v.Port(), in, len(in)); !strings.HasSuffix(got, "+PONG\r\n+OK\r\n") {
			t.Errorf("%q: answered %q", in, got)
		}
	}
	// redis-server hangs up without the reply to GET, which was not sent yet; what counts is that nothing is run behind it.
	if got := exchange(t, v.Port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100); strings.Contains(got, "PONG") {
		t.Errorf("a browser's request is answered %q", got)
	}
	v.unharmed()
}

// exchange sends a text, then PING and QUIT, and answers all that came back.
func exchange(t *testing.T, port int, text string, step int) string {
	w := dial(t, port)
	defer w.Close()
	for rest := text; rest != ""; rest = rest[min(step, len(rest)):] {
		w.say(rest[:min(step, len(rest))])
	}
	w.say("\r\nPING\r\nQUIT\r\n")
	return w.last()
}

// TestRandomBytes: some of it begins like a request, some of it is cut short by RST or by silence.
func TestRandomBytes(t *testing.T) {
	v, r := newVictim(t), random(t)
	var silent []*wire
	for i := range 600 {
		w := dial(t, v.Port())
		w.say(garbage(r))
		switch i % 3 {
		case 0:
			w.reset()
		case 1:
			w.Close()
		default:
			silent = append(silent, w)
		}
	}
	v.Must("PING")
	for _, w := range silent {
		w.Close()
	}
	v.unharmed()
}

// garbage never spells a command that writes: the words it takes are reads.
func garbage(r *rand.Rand) string {
	b := make([]byte, r.IntN(4000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	words := []string{"*3\r\n$3\r\nGET\r\n", "*1\r\n", "*2147483647\r\n", "$100\r\n", "\r\n", "*2\r\n$4\r\nECHO\r\n$4000\r\n", "HGETALL ", "*-5\r\n", "", "\"", "PING\r\n"}
	for range r.IntN(6) {
		at := r.IntN(len(b) + 1)
		b = append(b[:at:at], append([]byte(words[r.IntN(len(words))]), b[at:]...)...)
	}
	return words[r.IntN(len(words))] + string(b)
}

// TestHalfCommands: every cut of a write is followed by silence, FIN or RST; none of them may be executed.
func TestHalfCommands(t *testing.T) {
	v := newVictim(t)
	whole := encode("SET", "key:1", "overwritten")
	var silent []*wire
	for cut := 1; cut < len(whole); cut++ {
		for i := range 3 {
			w := dial(t, v.Port())
			w.say(whole[:cut])
			switch i {
			case 0:
				w.reset()
			case 1:
				w.Close()
			default:
				silent = append(silent, w)
			}
		}
	}
	v.Must("PING")
	for _, w := range silent {
		w.Close()
	}
	v.unharmed()
}

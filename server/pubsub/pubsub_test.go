package pubsub

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// ear keeps what it hears.
type ear struct {
	subs  Subscriptions
	proto int
	heard []string
	want  [kinds]map[string]bool // the model
}

func (e *ear) Protocol() int { return e.proto }
func (e *ear) Hear(m []byte) { e.heard = append(e.heard, string(m)) }

func TestMessagesAreEncodedOncePerProtocol(t *testing.T) {
	var h Hub
	ears := []*ear{{proto: 2}, {proto: 3}, {proto: 2}}
	for _, e := range ears {
		e.subs.Listener = e
		h.Subscribe(&e.subs, Channel, "news")
	}
	h.Subscribe(&ears[1].subs, Pattern, "n*")
	if n := h.Publish([]byte("news"), []byte("hi")); n != 4 {
		t.Fatalf("%d got it, want 4", n)
	}
	const plain = "$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
	want := []string{"[*3\r\n" + plain + "]", "[>3\r\n" + plain + " >4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n]", "[*3\r\n" + plain + "]"}
	for i, e := range ears {
		if got := fmt.Sprint(e.heard); got != want[i] {
			t.Errorf("listener %d heard %q, want %q", i, got, want[i])
		}
	}
	channel, message := []byte("somewhere"), []byte("hi")
	if n := testing.AllocsPerRun(10, func() { h.Publish(channel, message) }); n > 0 {
		t.Errorf("a message to nobody allocates %v times", n)
	}
}

// TestAgainstModel subscribes and unsubscribes at random and compares with sets.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var h Hub
	ears := make([]*ear, 5)
	for i := range ears {
		ears[i] = &ear{proto: 2 + i%2}
		ears[i].subs.Listener = ears[i]
		for k := range kinds {
			ears[i].want[k] = map[string]bool{}
		}
	}
	for range 5000 {
		e, k, name := ears[r.IntN(len(ears))], Kind(r.IntN(int(kinds))), fmt.Sprint("c", r.IntN(6))
		switch r.IntN(20) {
		case 0:
			h.Forget(&e.subs)
			for k := range kinds {
				clear(e.want[k])
			}
		default:
			if r.IntN(2) == 0 {
				if h.Subscribe(&e.subs, k, name) == e.want[k][name] {
					t.Fatalf("subscribing to %s told the opposite", name)
				}
				e.want[k][name] = true
			} else {
				if h.Unsubscribe(&e.subs, k, name) != e.want[k][name] {
					t.Fatalf("unsubscribing from %s told the opposite", name)
				}
				delete(e.want[k], name)
			}
		}
		compare(t, &h, ears)
	}
}

func compare(t *testing.T, h *Hub, ears []*ear) {
	t.Helper()
	for k := range kinds {
		count := map[string]int{}
		for _, e := range ears {
			if e.subs.Len(k) != len(e.want[k]) || len(e.subs.Names(k)) != len(e.want[k]) {
				t.Fatalf("kind %d: %d subscriptions, want %d", k, e.subs.Len(k), len(e.want[k]))
			}
			for _, name := range e.subs.Names(k) {
				if !e.want[k][name] {
					t.Fatalf("kind %d: %s is still there", k, name)
				}
				count[name]++
			}
		}
		if h.Count(k) != len(count) {
			t.Fatalf("kind %d: %d names, want %d", k, h.Count(k), len(count))
		}
		h.Each(k, nil, func(name string) {
			if h.Listeners(k, []byte(name)) != count[name] {
				t.Fatalf("kind %d: %s has %d listeners, want %d", k, name, h.Listeners(k, []byte(name)), count[name])
			}
		})
	}
}

package transport

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestMessagesKeepTheirPlaceAmongReplies(t *testing.T) {
	r := newRig(t, rigOptions{config: "notify-keyspace-events KA\n"})
	c := dial(t, r.addr)
	c.do("HELLO", "3")
	c.raw("SUBSCRIBE c __keyspace@0__:k\r\nPUBLISH c 1\r\nPING\r\nMULTI\r\nSET k v\r\nPUBLISH c 2\r\nEXEC\r\nUNSUBSCRIBE c\r\nPUBLISH c 3\r\nPING\r\n")
	for i, w := range []string{`>["subscribe" "c" (integer) 1]`, `>["subscribe" "__keyspace@0__:k" (integer) 2]`, "(integer) 1", `>["message" "c" "1"]`, "PONG", "OK", "QUEUED", "QUEUED",
		`*[OK (integer) 1]`, `>["message" "__keyspace@0__:k" "set"]`, `>["message" "c" "2"]`, `>["unsubscribe" "c" (integer) 1]`, "(integer) 0", "PONG"} {
		if got := c.reply(); got != w {
			t.Errorf("reply %d is %s, want %s", i, got, w)
		}
	}
	old := dial(t, r.addr)
	want(t, old.do("SUBSCRIBE", "c"), `*["subscribe" "c" (integer) 1]`)
	wantPrefix(t, old.do("GET", "k"), "(error) ERR Can't execute 'get': only (P|S)SUBSCRIBE")
	want(t, old.do("PING"), `*["pong" ""]`)
	want(t, c.do("PUBLISH", "c", "x"), "(integer) 1")
	want(t, old.reply(), `*["message" "c" "x"]`)
	want(t, old.do("RESET"), "RESET")
	want(t, c.do("PUBSUB", "NUMSUB", "c"), `*["c" (integer) 0]`)
}

// Nobody misses a message, gets one twice, out of order, or after the end of the subscription was confirmed, on however many loops.
func TestFanOutOverLoops(t *testing.T) {
	const listeners, messages = 60, 200
	r := newRig(t, rigOptions{loops: 3})
	var ready, done sync.WaitGroup
	for i := range listeners {
		c := dial(t, r.addr)
		want(t, c.do("SUBSCRIBE", "news"), `*["subscribe" "news" (integer) 1]`)
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			for n := range messages {
				v, err := c.r.Read()
				if w := fmt.Sprintf(`*["message" "news" "%d"]`, n); err != nil || v.String() != w {
					t.Errorf("listener %d got %v, %v; want %s", i, v, err, w)
					return
				}
			}
		}()
	}
	quitter := dial(t, r.addr)
	ready.Wait()
	publisher := dial(t, r.addr)
	for n := range messages {
		quitter.send("SUBSCRIBE", "news")
		publisher.send("PUBLISH", "news", strconv.Itoa(n))
		quitter.send("UNSUBSCRIBE", "news")
		publisher.reply()
		for ended := false; !ended; {
			ended = strings.HasPrefix(quitter.reply(), `*["unsubscribe"`)
		}
	}
	want(t, quitter.do("PING"), "PONG") // nothing came after the last confirmation
	done.Wait()
}

func TestSlowListenersAreClosed(t *testing.T) {
	r := newRig(t, rigOptions{config: "client-output-buffer-limit pubsub 1mb 0 0\n"})
	slow, c := dial(t, r.addr), dial(t, r.addr)
	want(t, slow.do("SUBSCRIBE", "news"), `*["subscribe" "news" (integer) 1]`)
	big := strings.Repeat("x", 64<<10)
	for n := 0; c.do("PUBLISH", "news", big) == "(integer) 1"; n++ {
		if n > 2000 {
			t.Fatal("a listener that does not read is still there after 128 MB")
		}
	}
	slow.ends()
}

// Very many subscriptions are begun little by little. Each is confirmed in order, before any message of its channel
// comes, and no message of a channel comes behind the confirmation of its end; what was sent behind them waits.
func TestVeryManySubscriptions(t *testing.T) {
	const n = 5000
	for _, proto := range []string{"2", "3"} {
		r := newRig(t, rigOptions{loops: 2})
		c, publisher := dial(t, r.addr), dial(t, r.addr)
		c.do("HELLO", proto)
		mark := map[string]string{"2": "*", "3": ">"}[proto]
		stop := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			for i := 0; ; i = (i + 997) % n {
				select {
				case <-stop:
					return
				default:
					publisher.do("PUBLISH", fmt.Sprint("c:", i), "x")
				}
			}
		})
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprint("c:", i)
		}
		confirmed := func(word string, count func(i int) int) (messages int) {
			c.send(append([]string{word}, names...)...)
			c.send("PING")
			on := map[string]bool{}
			for i := 0; i < n; {
				got := c.reply()
				if name, is := strings.CutPrefix(got, mark+`["message" "`); is {
					name = strings.TrimSuffix(name, `" "x"]`)
					if messages++; on[name] != (word == "SUBSCRIBE") {
						t.Fatalf("RESP%s: a message of %s at the wrong place of %s", proto, name, word)
					}
					continue
				}
				if want := fmt.Sprintf(`%s["%s" "c:%d" (integer) %d]`, mark, strings.ToLower(word), i, count(i)); got != want {
					t.Fatalf("RESP%s: confirmation %d is %s, want %s", proto, i, got, want)
				}
				on[names[i]] = true
				i++
			}
			for {
				if got := c.reply(); got == "PONG" || got == `*["pong" ""]` {
					return messages
				}
				messages++
			}
		}
		if confirmed("SUBSCRIBE", func(i int) int { return i + 1 }) == 0 {
			t.Logf("RESP%s: no message came meanwhile", proto)
		}
		confirmed("UNSUBSCRIBE", func(i int) int { return n - 1 - i })
		close(stop)
		all.Wait()
		if begun, _ := r.e.LongReads(); begun != 1 {
			t.Errorf("%d commands went on, want 1", begun)
		}
		want(t, publisher.do("PUBSUB", "NUMSUB", "c:7"), `*["c:7" (integer) 0]`)
	}
}

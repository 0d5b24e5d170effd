package transport

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// BenchmarkCommands is what a loop does with the commands of twelve clients, sixteen of each: about what one wake brings from
// redis-benchmark -c 50 -P 16 -r 100000. It leaves out the sockets, and what is done once for a connection. An operation is one
// command; undisturbed is the tenth percentile of short stretches, which other work on the machine moves little.
func BenchmarkCommands(b *testing.B) {
	const clients, pipeline, variants, stretch = 12, 16, 64, 5
	key := func() string { return fmt.Sprintf("key:%012d", rand.IntN(100000)) }
	element := func() string { return fmt.Sprintf("element:%012d", rand.IntN(100000)) }
	kilo := strings.Repeat("x", 1<<10)
	setUp := func(n int, args func() []string) func(run func(words ...string)) {
		return func(run func(words ...string)) {
			for range n {
				run(args()...)
			}
		}
	}
	push := func() []string { return []string{"RPUSH", "mylist", "xxx"} }
	for _, x := range []struct {
		name  string
		args  func() []string
		ready func(run func(words ...string))
	}{
		{name: "ping_inline"},
		{name: "ping_mbulk", args: func() []string { return []string{"PING"} }},
		{name: "set", args: func() []string { return []string{"SET", key(), "xxx"} }},
		{name: "get", args: func() []string { return []string{"GET", key()} }, ready: setUp(200000, func() []string { return []string{"SET", key(), "xxx"} })},
		{name: "incr", args: func() []string { return []string{"INCR", strings.Replace(key(), "key", "counter", 1)} }},
		{name: "lpush", args: func() []string { return []string{"LPUSH", "mylist", "xxx"} }},
		{name: "rpush", args: push},
		{name: "lpop", args: func() []string { return []string{"LPOP", "mylist"} }, ready: setUp(300000, push)},
		{name: "rpop", args: func() []string { return []string{"RPOP", "mylist"} }, ready: setUp(300000, push)},
		{name: "sadd", args: func() []string { return []string{"SADD", "myset", element()} }},
		{name: "hset", args: func() []string { return []string{"HSET", "myhash", element(), "xxx"} }},
		{name: "zpopmin", args: func() []string { return []string{"ZPOPMIN", "myzset"} }},
		{name: "set_1k", args: func() []string { return []string{"SET", fmt.Sprintf("key:%012d", rand.IntN(1000)), kilo} }},
		{name: "get_1k", args: func() []string { return []string{"GET", fmt.Sprintf("key:%012d", rand.IntN(1000))} },
			ready: setUp(5000, func() []string { return []string{"SET", fmt.Sprintf("key:%012d", rand.IntN(1000)), kilo} })},
	} {
		b.Run(x.name, func(b *testing.B) {
			r := newRig(b, rigOptions{})
			l, err := newLoop(r.server)
			if err != nil {
				b.Fatal(err)
			}
			defer l.closeFDs()
			defer l.lane.Close()
			var conns [clients]*conn
			for i := range conns {
				conns[i] = newConn(-1, netip.AddrPort{}, netip.AddrPort{}, "")
				r.s.Open(&conns[i].sess, conns[i])
			}
			run := func() {
				l.lane.Run(l.items)
				if l.lane.Out.Errors() > 0 {
					b.Fatalf("an error: %s", l.lane.Out.LastError())
				}
				for _, c := range l.batch {
					if c.done != len(c.buf) || c.broken != nil {
						b.Fatalf("%d of %d bytes were parsed: %v", c.done, len(c.buf), c.broken)
					}
					c.inBatch = false
				}
				l.forget()
			}
			if x.ready != nil {
				x.ready(func(words ...string) {
					if l.parse(conns[0], resp.AppendCommandStrings(nil, words...)); len(l.items) > 100 {
						run()
					}
				})
				run()
			}
			var texts [variants][]byte
			for i := range texts {
				for range pipeline {
					if x.args == nil {
						texts[i] = append(texts[i], "PING\r\n"...)
					} else {
						texts[i] = resp.AppendCommandStrings(texts[i], x.args()...)
					}
				}
			}
			at := 0
			var spans []float64
			b.ResetTimer()
			for done := 0; done < b.N; done += stretch * clients * pipeline {
				began := time.Now()
				for range stretch {
					for _, c := range conns {
						l.parse(c, texts[at%variants])
						at++
					}
					run()
				}
				spans = append(spans, float64(time.Since(began))/(stretch*clients*pipeline))
			}
			slices.Sort(spans)
			b.ReportMetric(spans[len(spans)/10], "undisturbed-ns/op")
		})
	}
}

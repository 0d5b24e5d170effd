package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// Load is a client that writes one key after the other through the read-write Service, dials again when it must, and
// remembers what was acknowledged. An unanswered write counts as neither kept nor lost.
type Load struct {
	cancel context.CancelFunc
	done   chan Result
	marks  chan chan<- time.Time
}

// Result is what a load has seen.
type Result struct {
	Prefix string
	Acked  []int         // numbers of the acknowledged keys, in order
	Errors int           // failed or refused writes and dials
	Gap    time.Duration // the longest time between two acknowledgements
	First  error         // the first failure, for a reader of a test's log
}

// Key is the name of the n-th key; its value is the same text.
func (r Result) Key(n int) string { return fmt.Sprintf("%s:%d", r.Prefix, n) }

// StartLoad starts a load; pause is the time between two writes.
func (s Set) StartLoad(ctx context.Context, prefix string, pause time.Duration) *Load {
	return startLoad(ctx, s.Connect, prefix, pause)
}

type connectFunc = func(context.Context) (*respclient.Client, error)

func startLoad(ctx context.Context, connect connectFunc, prefix string, pause time.Duration) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{cancel: cancel, done: make(chan Result, 1), marks: make(chan chan<- time.Time, 8)}
	go l.run(ctx, connect, Result{Prefix: prefix}, pause)
	return l
}

// NextWrite waits for the first acknowledgement of a write that was sent after this call, and returns when it came.
func (l *Load) NextWrite(ctx context.Context) (time.Time, error) {
	mark := make(chan time.Time, 1)
	select {
	case l.marks <- mark:
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	select {
	case at := <-mark:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("no write was accepted: %w", ctx.Err())
	}
}

// Stop ends the load and tells what it saw.
func (l *Load) Stop() Result {
	l.cancel()
	return <-l.done
}

const redialPause = 5 * time.Millisecond

func (l *Load) run(ctx context.Context, connect connectFunc, r Result, pause time.Duration) {
	var c *respclient.Client
	defer func() {
		if c != nil {
			c.Close()
		}
		l.done <- r
	}()
	var last time.Time
	var waiting []chan<- time.Time
	fail := func(err error) {
		if ctx.Err() != nil {
			return
		}
		r.Errors++
		if r.First == nil {
			r.First = err
		}
		sleep(ctx, redialPause)
	}
	for n := 0; ctx.Err() == nil; n++ {
		waiting = l.takeMarks(waiting)
		if c == nil {
			var err error
			if c, err = connect(ctx); err != nil {
				c = nil
				fail(err)
				continue
			}
		}
		if _, err := c.Do("SET", r.Key(n), r.Key(n)); err != nil {
			fail(err)
			var refused respclient.Error
			if !errors.As(err, &refused) || demoted(refused) {
				c.Close()
				c = nil
			}
			continue
		}
		now := time.Now()
		if !last.IsZero() {
			r.Gap = max(r.Gap, now.Sub(last))
		}
		last = now
		r.Acked = append(r.Acked, n)
		for _, w := range waiting {
			w <- now
		}
		waiting = nil
		sleep(ctx, pause)
	}
}

func (l *Load) takeMarks(waiting []chan<- time.Time) []chan<- time.Time {
	for {
		select {
		case m := <-l.marks:
			waiting = append(waiting, m)
		default:
			return waiting
		}
	}
}

// demoted tells whether a refusal means that the master is elsewhere now: a client must dial the Service again.
func demoted(e respclient.Error) bool { return len(e) >= 8 && e[:8] == "READONLY" }

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Missing returns the acknowledged keys that a member, asked by its own connection, does not hold as they were written.
func (r Result) Missing(c *respclient.Client) ([]string, error) {
	var missing []string
	for _, n := range r.Acked {
		v, found, err := c.String("GET", r.Key(n))
		if err != nil {
			return nil, err
		}
		if !found || v != r.Key(n) {
			missing = append(missing, r.Key(n))
		}
	}
	return missing, nil
}

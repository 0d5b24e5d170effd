package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// writer writes numbered keys to one address without a pause between them and remembers when each was sent and
// acknowledged. It dials again at once when it must, as a good client does.
type writer struct {
	w      *world
	addr   string
	prefix string
	anew   bool // dials for every write, as a client without a pool does
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	acked  []int
	sent   time.Time // of the last acknowledged write
	gap    time.Duration
	last   time.Time
	errors int
	why    error // of the latest failure
	waits  []chan struct{}
}

func (w *world) write(ctx context.Context, addr, prefix string) *writer {
	return w.startWriter(ctx, &writer{w: w, addr: addr, prefix: prefix})
}

// writeAnew dials for every write.
func (w *world) writeAnew(ctx context.Context, addr, prefix string) *writer {
	return w.startWriter(ctx, &writer{w: w, addr: addr, prefix: prefix, anew: true})
}

func (w *world) startWriter(ctx context.Context, wr *writer) *writer {
	ctx, wr.stop = context.WithCancel(ctx)
	wr.done.Go(func() { wr.run(ctx) })
	return wr
}

func (wr *writer) run(ctx context.Context) {
	var c *respclient.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; n++ {
		var err error
		if c == nil {
			if c, err = wr.w.connect(ctx, wr.addr); err != nil {
				c = nil
				wr.failed(ctx, err)
				continue
			}
		}
		key := wr.key(n)
		sent := time.Now()
		if _, err = c.Do("SET", key, key); err != nil {
			wr.failed(ctx, err)
			c.Close()
			c = nil
			continue
		}
		wr.ok(n, sent)
		if wr.anew {
			c.Close()
			c = nil
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

func (wr *writer) key(n int) string { return wr.prefix + strconv.Itoa(n) }

func (wr *writer) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	wr.mu.Lock()
	wr.errors++
	wr.why = err
	wr.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
}

func (wr *writer) ok(n int, sent time.Time) {
	now := time.Now()
	wr.mu.Lock()
	defer wr.mu.Unlock()
	wr.acked = append(wr.acked, n)
	if !wr.last.IsZero() {
		wr.gap = max(wr.gap, now.Sub(wr.last))
	}
	wr.last, wr.sent = now, sent
	rest := wr.waits[:0]
	for _, ch := range wr.waits {
		ch <- struct{}{}
	}
	wr.waits = rest
}

// next waits for the next acknowledgement.
func (wr *writer) next(ctx context.Context) error {
	ch := make(chan struct{}, 1)
	wr.mu.Lock()
	wr.waits = append(wr.waits, ch)
	wr.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastError is the latest failure.
func (wr *writer) lastError() error {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	return wr.why
}

func (wr *writer) end() {
	wr.stop()
	wr.done.Wait()
}

// missing counts acknowledged keys that the present master does not hold.
func (wr *writer) missing(ctx context.Context) (int, error) {
	c, err := wr.w.connect(ctx, wr.w.service)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	missing := 0
	for _, n := range wr.acked {
		_, found, err := c.String("GET", wr.key(n))
		if err != nil {
			return 0, err
		}
		if !found {
			missing++
		}
	}
	return missing, nil
}

package testbed

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// fakeMaster is a server that accepts SET and GET, and can be told to refuse, to hang up, or to forget.
type fakeMaster struct {
	mu     sync.Mutex
	data   map[string]string
	refuse string // reply to SET instead of OK
	hangUp int    // connections to close instead of an answer

	refused, hungUp atomic.Int32
}

func (f *fakeMaster) dial(context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	go f.serve(there)
	return here, nil
}

func (f *fakeMaster) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		reply, ok := f.answer(args)
		if !ok {
			return
		}
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}

func (f *fakeMaster) answer(args []string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.hangUp > 0:
		f.hangUp--
		f.hungUp.Add(1)
		return "", false
	case args[0] == "SET" && f.refuse != "":
		f.refused.Add(1)
		return "-" + f.refuse + "\r\n", true
	case args[0] == "SET":
		f.data[args[1]] = args[2]
		return "+OK\r\n", true
	}
	v, ok := f.data[args[1]]
	if !ok {
		return "$-1\r\n", true
	}
	return "$" + strconv.Itoa(len(v)) + "\r\n" + v + "\r\n", true
}

func readCommand(r *bufio.Reader) ([]string, error) {
	line := func() (string, error) {
		s, err := r.ReadString('\n')
		return strings.TrimSuffix(s, "\r\n"), err
	}
	head, err := line()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimPrefix(head, "*"))
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		if _, err := line(); err != nil {
			return nil, err
		}
		if args[i], err = line(); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func connect(f *fakeMaster) func(context.Context) (*respclient.Client, error) {
	return func(ctx context.Context) (*respclient.Client, error) {
		return respclient.Connect(ctx, f.dial, "", within)
	}
}

const within = time.Minute // generous: the machine may be busy with other things

// await waits until something happened n times.
func await(t *testing.T, times *atomic.Int32, n int32) {
	t.Helper()
	for end := time.Now().Add(within); times.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("happened %d times within %v, want %d", times.Load(), within, n)
		}
	}
}

// TestLoadCountsOnlyWhatWasAcknowledged runs a load through a hang-up and a refusal, then makes the server forget a key.
func TestLoadCountsOnlyWhatWasAcknowledged(t *testing.T) {
	f := &fakeMaster{data: map[string]string{}}
	l := startLoad(t.Context(), connect(f), "k", time.Millisecond)
	write := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		if _, err := l.NextWrite(ctx); err != nil {
			t.Fatal(err)
		}
	}
	write()
	set := func(change func()) { f.mu.Lock(); change(); f.mu.Unlock() }
	set(func() { f.hangUp = 1 })
	await(t, &f.hungUp, 1)
	write()
	set(func() { f.refuse = "READONLY You can't write against a read only replica." })
	await(t, &f.refused, 1)
	time.Sleep(50 * time.Millisecond) // the gap's least length
	set(func() { f.refuse = "" })
	write()
	r := l.Stop()

	if len(r.Acked) != len(f.data) || r.Errors < 2 || r.First == nil || r.Gap < 40*time.Millisecond {
		t.Fatalf("%d acknowledged of %d held, %d errors (%v), gap %s", len(r.Acked), len(f.data), r.Errors, r.First, r.Gap)
	}
	c, err := connect(f)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if missing, err := r.Missing(c); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	lost, changed := r.Key(r.Acked[0]), r.Key(r.Acked[1])
	set(func() { delete(f.data, lost); f.data[changed] = "other" })
	if missing, err := r.Missing(c); err != nil || len(missing) != 2 || missing[0] != lost || missing[1] != changed {
		t.Errorf("missing %v, %v: want %s and %s", missing, err, lost, changed)
	}
}

func TestNextWriteEndsWithItsContext(t *testing.T) {
	var dials atomic.Int32
	dead := func(context.Context) (*respclient.Client, error) {
		dials.Add(1)
		return nil, errors.New("connection refused")
	}
	l := startLoad(t.Context(), dead, "k", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := l.NextWrite(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	await(t, &dials, 2) // the first one has been counted by then
	if r := l.Stop(); len(r.Acked) != 0 || r.Errors == 0 {
		t.Errorf("%d acknowledged, %d errors by a server that is not there", len(r.Acked), r.Errors)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

const (
	behindValue = 100_000
	behindRate  = 80e6 // bytes written per second
	behindLink  = 3e6  // bytes per second that the replica gets
	behindLog   = 64 << 20
)

// benchBehind writes 1 kB for each of -keys while a replica syncs through a slow link, with a backlog on disk: what waits for the
// replica must not wait in memory. Ours alone: redis-server would drop the replica, or take the memory. Then the link opens, and
// both must be equal after one full sync.
func benchBehind(o options, t *table) error {
	for range o.rounds {
		if err := o.behindRound(t); err != nil {
			return err
		}
	}
	return nil
}

func (o options) behindRound(t *table) error {
	total := int64(o.keys) * 1000
	keys := max(int(float64(total)/behindRate*behindLink*1.2/behindValue), 10)
	flags := []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--rdbcompression", "no", "--repl-timeout", "600", "--enable-debug-command", "local"}
	master, err := o.start(true, append(flags, "--repl-backlog-size", strconv.Itoa(behindLog), "--repl-disk-backlog-size", strconv.FormatInt(2*total, 10))...)
	if err != nil {
		return err
	}
	defer master.stop()
	replica, err := o.start(true, flags...)
	if err != nil {
		return err
	}
	defer replica.stop()
	w := newBigWriter(master.addr(), keys)
	if err := w.write(int64(keys)*behindValue, 0); err != nil {
		return err
	}
	link, err := newSlowLink(master.addr())
	if err != nil {
		return err
	}
	defer link.close()
	time.Sleep(time.Second)
	before := rollup(master.cmd.Process.Pid, "Pss:")
	if err := follow(replica, link.port()); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	watch := watchBehind(ctx, master, before, &w.written)
	if err := w.write(total, behindRate); err != nil {
		return err
	}
	opened := time.Now()
	link.open.Store(true)
	if err := equalAtLast(master, replica); err != nil {
		return err
	}
	took := time.Since(opened)
	stop()
	most, disk := watch()
	t.row(row{name: "resident memory beside data and backlog, at most", unit: "MB", budget: 64, absolute: true}).add(true, float64(most)/1e6)
	t.row(row{name: "stream on disk, at most", unit: "MB"}).add(true, float64(disk)/1e6)
	t.row(row{name: "until the replica has all, once the link is open", unit: "s"}).add(true, took.Seconds())
	return nil
}

func follow(replica *server, port string) error {
	c, err := dial(replica.addr())
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do("REPLICAOF", "127.0.0.1", port)
	return err
}

// equalAtLast waits until the replica has everything, and compares.
func equalAtLast(master, replica *server) error {
	m, err := dial(master.addr())
	if err != nil {
		return err
	}
	defer m.close()
	r, err := dial(replica.addr())
	if err != nil {
		return err
	}
	defer r.close()
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		want, err := m.number("master_repl_offset")
		if err != nil {
			return err
		}
		up, err1 := r.info("master_link_status")
		have, err2 := r.number("master_repl_offset")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if up == "up" && have >= want {
			break
		}
		if time.Now().After(end) {
			return errors.New("the replica does not catch up")
		}
	}
	if n, err := m.info("sync_full"); err != nil || n != "1" {
		return fmt.Errorf("%s full syncs, want 1 (%w)", n, err)
	}
	a, err1 := m.do("DEBUG", "DIGEST")
	b, err2 := r.do("DEBUG", "DIGEST")
	if err := errors.Join(err1, err2); err != nil || string(a.Str) != string(b.Str) {
		return fmt.Errorf("digests %s and %s (%w)", a.Str, b.Str, err)
	}
	return nil
}

// watchBehind looks at the master's memory and disk until ctx ends, and tells stderr on the way.
func watchBehind(ctx context.Context, master *server, before int64, written *atomic.Int64) (result func() (most, disk int64)) {
	var most, disk int64
	var done sync.WaitGroup
	done.Go(func() {
		c, err := dial(master.addr())
		if err != nil {
			return
		}
		defer c.close()
		for i := 0; ctx.Err() == nil; i++ {
			extra := rollup(master.cmd.Process.Pid, "Pss:") - before - behindLog
			used, _ := c.number("repl_disk_backlog_bytes")
			most, disk = max(most, extra), max(disk, used)
			if i%50 == 0 {
				log, _ := c.number("mem_total_replication_buffers")
				fmt.Fprintf(os.Stderr, "   %5d MB written, %4d MB on disk, %3d MB of the log in memory, %3d MB resident beside the backlog, %3d MB at most; dirty pages of the machine %4d MB\n",
					written.Load()/1e6, used/1e6, log/1e6, extra/1e6, most/1e6, kilobytes("/proc/meminfo", "Dirty:")/1e6)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return func() (int64, int64) { done.Wait(); return most, disk }
}

// bigWriter writes values that do not compress over a number of keys.
type bigWriter struct {
	addr    string
	keys    int
	noise   string
	written atomic.Int64
}

func newBigWriter(addr string, keys int) *bigWriter {
	return &bigWriter{addr: addr, keys: keys, noise: value(1, 2*behindValue)}
}

// write writes so many bytes, at a rate per second or, with 0, as fast as it goes.
func (w *bigWriter) write(total int64, rate float64) error {
	c, err := dial(w.addr)
	if err != nil {
		return err
	}
	defer c.close()
	const batch = 8
	begin := time.Now()
	w.written.Store(0)
	for n := int64(0); n < total; {
		if rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
		}
		if err := c.pipe(batch, func(i int, dst []byte) []byte {
			from := rand.IntN(behindValue)
			return resp.AppendCommandStrings(dst, "SET", key((int(n/behindValue)+i)%w.keys), w.noise[from:from+behindValue])
		}); err != nil {
			return err
		}
		n += batch * behindValue
		w.written.Store(n)
	}
	return nil
}

// slowLink hands bytes on to a master, what comes from there slowly until it is opened.
type slowLink struct {
	listener net.Listener
	master   string
	open     atomic.Bool
}

func newSlowLink(master string) (*slowLink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &slowLink{listener: l, master: master}
	go s.accept()
	return s, nil
}

func (s *slowLink) port() string {
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	return port
}

func (s *slowLink) close() { s.listener.Close() }

func (s *slowLink) accept() {
	for {
		down, err := s.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", s.master)
		if err != nil {
			down.Close()
			continue
		}
		go func() { _, _ = io.Copy(up, down); up.Close() }()
		go func() { s.slowly(down, up); down.Close() }()
	}
}

func (s *slowLink) slowly(to io.Writer, from io.Reader) {
	buf := make([]byte, 30_000)
	for {
		p := buf
		if s.open.Load() {
			p = make([]byte, 256<<10)
			buf = p
		}
		n, err := from.Read(p)
		if _, e := to.Write(p[:n]); err != nil || e != nil {
			return
		}
		if !s.open.Load() {
			time.Sleep(time.Duration(float64(n) / behindLink * float64(time.Second)))
		}
	}
}

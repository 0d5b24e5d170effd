package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// The soak needs no cluster: a master and a replica of ours live through a mix of everything that takes memory, threads or
// goroutines for a while, and must have given it back. soakjudge.go says what it has to have given back.

const (
	soakWhat    = "a master and its replica, which keeps an append-only file, under a mix of all data types, connections that come and go, scripts, subscribers, blocked clients, saves and lost links"
	soakClients = 12
	soakBatch   = 50 // commands that travel together, mostly
	soakSample  = 5 * time.Second
	soakEvent   = 4 * time.Second // between a save, a lost link, a full sync ...
	// The data set is bounded, whatever the time: so many keys of each kind with hundreds of bytes, and so many with
	// thousands of elements, which one command of so many is about.
	soakKeys, soakHuge, soakElements, soakHugeShare = 20_000, 80, 20_000, 5
	// What the master has to hold in the middle of a run, that it proves something.
	soakLeast = 200 << 20
	// What may be resident once it is quiet: so much of what is used, for holes, and so many bytes, for the program itself, what the
	// runtime keeps, the backlog, and pages of which every partition has some.
	soakHoles, soakConstant = 1.15, 40<<20 + soakBacklog
	soakBacklog             = 64 << 20 // is no data
	// A digest of all data takes a busy machine this long, perhaps.
	soakPatience = 5 * time.Minute
)

// soaked is one process and what was seen of it.
type soaked struct {
	name     string
	cmd      *exec.Cmd
	port     int
	httpPort int
	samples
	idle int64 // goroutines before the load
}

func soak(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	length := flags.Duration("for", 30*time.Minute, "how long")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the clients' choices")
	each := flags.String("samples", "", "file to write every sample to, for a look at what grew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := newReport(".", "soak", soakWhat, options{seed: *seed})
	r.where = "master, replica and clients on one machine"
	begin := time.Now()
	err = soakFor(ctx, dir, *length, *seed, *each, r, out)
	r.finish(time.Since(begin), err)
	path := filepath.Join("docs", "campaigns", r.file())
	if e := os.WriteFile(path, r.markdown(), 0o644); e != nil {
		return fmt.Errorf("run from the repository's root: %w", e)
	}
	fmt.Fprintf(out, "%s\nwritten to %s\n", r.markdown(), path)
	return err
}

func soakFor(ctx context.Context, dir string, length time.Duration, seed uint64, each string, r *report, out io.Writer) error {
	bin := filepath.Join(dir, "server")
	if text, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./server").CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, text)
	}
	master, err := startSoaked(ctx, bin, filepath.Join(dir, "master"), "master")
	if err != nil {
		return err
	}
	defer master.stop()
	replica, err := startSoaked(ctx, bin, filepath.Join(dir, "replica"), "replica", "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port), "--appendonly", "yes")
	if err != nil {
		return err
	}
	defer replica.stop()
	if err := idleBefore(ctx, master, replica); err != nil {
		return err
	}
	working, end := context.WithTimeout(ctx, length)
	defer end()
	var commands, errs atomic.Int64
	var work sync.WaitGroup
	for i := range soakClients {
		work.Go(func() { soakClient(working, master.port, rand.New(rand.NewPCG(seed, uint64(i))), &commands, &errs) })
	}
	work.Go(func() { soakOperator(working, master, replica) })
	err = watchSoaked(working, out, &commands, master, replica)
	work.Wait()
	if err != nil {
		return err
	}
	if each != "" {
		if err := os.WriteFile(each, []byte(master.table(master.name)+replica.table(replica.name)), 0o644); err != nil {
			return err
		}
	}
	r.fact("commands", commands.Load(), "")
	r.fact("commands per second", commands.Load()/int64(length.Seconds()), "")
	r.fact("error replies (wrong types, mostly)", errs.Load(), "")
	return errors.Join(master.happened(ctx, r, "sync_full", "sync_partial_ok", "expired_keys", "total_net_input_bytes", "total_net_repl_output_bytes"),
		replica.happened(ctx, r, "aof_rewrites"), master.judge(master.name, r), replica.judge(replica.name, r), agree(ctx, master, replica), master.settle(ctx, r), replica.settle(ctx, r))
}

// happened reports counters of INFO.
func (s *soaked) happened(ctx context.Context, r *report, names ...string) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	fields, err := c.Info("everything")
	if err != nil {
		return err
	}
	for _, name := range names {
		value, ok := fields[name]
		if !ok {
			return fmt.Errorf("the %s has no %s in INFO", s.name, name)
		}
		r.fact(s.name+": "+name, value, "")
	}
	return nil
}

func startSoaked(ctx context.Context, bin, dir, name string, more ...string) (*soaked, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	s := &soaked{name: name}
	for _, port := range []*int{&s.port, &s.httpPort} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	s.cmd = exec.Command(bin, append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log"),
		"--http-addr", "127.0.0.1:" + strconv.Itoa(s.httpPort), "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--repl-backlog-size", strconv.Itoa(soakBacklog)}, more...)...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := s.connect(ctx)
		if err == nil {
			return s, c.Close()
		}
		if time.Now().After(end) {
			s.stop()
			return nil, fmt.Errorf("the %s does not answer: %w", name, err)
		}
	}
}

// idleBefore counts the goroutines of both while the replica is in sync and nothing happens.
func idleBefore(ctx context.Context, master, replica *soaked) error {
	c, err := master.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		fields, err := c.Info("replication")
		if err != nil {
			return err
		}
		if strings.Contains(fields["slave0"], "state=online") {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("the replica is not in sync: %q", fields["slave0"])
		}
	}
	time.Sleep(time.Second)
	for _, s := range []*soaked{master, replica} {
		if err := s.sample(); err != nil {
			return err
		}
		s.idle, s.samples = s.routines[0], samples{}
	}
	return nil
}

func (s *soaked) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
}

func (s *soaked) connect(ctx context.Context) (*respclient.Client, error) {
	return soakConnect(ctx, s.port)
}

func soakConnect(ctx context.Context, port int) (*respclient.Client, error) {
	return respclient.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	}, "", soakPatience)
}

// watchSoaked takes samples until the time is up. A process that ends before is a failure.
func watchSoaked(ctx context.Context, out io.Writer, commands *atomic.Int64, servers ...*soaked) error {
	tick := time.NewTicker(soakSample)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, s := range servers {
			if err := s.sample(); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if n%12 == 0 {
			m := servers[0]
			fmt.Fprintf(out, "%d commands, the master has %d MiB resident, %d MiB used, %d goroutines\n", commands.Load(), m.resident[n-1]>>20, m.used[n-1]>>20, m.routines[n-1])
		}
	}
}

// sample reads the process and its /metrics.
func (s *soaked) sample() error {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("the process is gone: %w", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		return err
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", s.httpPort))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	found := map[string]int64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = int64(v)
		}
	}
	routines, ok := found["go_goroutines"]
	used, ok2 := found[soakUsedMetric]
	if !ok || !ok2 {
		return fmt.Errorf("/metrics lacks go_goroutines or %s", soakUsedMetric)
	}
	s.resident, s.used, s.routines = append(s.resident, pages*int64(os.Getpagesize())), append(s.used, used), append(s.routines, routines)
	return nil
}

const soakUsedMetric = "understudy_memory_used_bytes"

// settle wants back what the load took for a while: garbage, a second data set during a full sync, buffers, goroutines.
func (s *soaked) settle(ctx context.Context, r *report) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var resident, used, routines int64
	var heavy, many bool
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		if _, err := c.Do("MEMORY", "PURGE"); err != nil {
			return err
		}
		if err := s.sample(); err != nil {
			return err
		}
		last := len(s.resident) - 1
		resident, used, routines = s.resident[last], s.used[last], s.routines[last]
		heavy, many = float64(resident) > soakHoles*float64(used)+soakConstant, routines > s.idle+soakFew
		if !heavy && !many || time.Now().After(end) {
			break
		}
	}
	r.fact(s.name+": resident and used memory once it is quiet, MiB", fmt.Sprintf("%d, %d", resident>>20, used>>20), fmt.Sprintf("<= %.2f of used and %d", soakHoles, soakConstant>>20))
	r.fact(s.name+": goroutines before the load and once it is quiet", fmt.Sprintf("%d, %d", s.idle, routines), fmt.Sprintf("<= %d more", soakFew))
	if many {
		err = fmt.Errorf("%s: %d goroutines once it is quiet, %d before the load", s.name, routines, s.idle)
	}
	if heavy {
		stats, _, e := c.String("MEMORY", "MALLOC-STATS")
		err = errors.Join(err, fmt.Errorf("%s: %d MiB are resident for %d MiB of data once it is quiet\n%s", s.name, resident>>20, used>>20, stats), e)
	}
	return err
}

// agree ends the soak as every test of replication ends: equal digests at equal offsets.
func agree(ctx context.Context, master, replica *soaked) error {
	m, err := master.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	c, err := replica.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, quiet := range [][]string{{"DEBUG", "SET-ACTIVE-EXPIRE", "0"}, {"CONFIG", "SET", "repl-ping-replica-period", "3600"}} {
		if _, err := m.Do(quiet...); err != nil {
			return err
		}
	}
	var last string
	for end := time.Now().Add(soakPatience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var seen [2]string
		for i, peer := range []*respclient.Client{m, c} {
			fields, err := peer.Info("replication")
			if err != nil {
				return err
			}
			digest, _, err := peer.String("DEBUG", "DIGEST")
			if err != nil {
				return err
			}
			seen[i] = fields["master_repl_offset"] + " " + digest
		}
		if seen[0] == seen[1] {
			return nil
		}
		last = fmt.Sprint(seen)
	}
	return fmt.Errorf("master and replica do not agree after minutes without writes: %s\n%s", last, parting(m, c))
}

// parting lists the first keys that are different.
func parting(m, c *respclient.Client) string {
	var out []string
	names := map[string]bool{}
	for _, peer := range []*respclient.Client{m, c} {
		list, err := peer.Do("KEYS", "*")
		keys, ok := list.([]any)
		if err != nil || !ok {
			return fmt.Sprintf("KEYS: %v %v", list, err)
		}
		for _, key := range keys {
			names[fmt.Sprint(key)] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		var seen [2]string
		for i, peer := range []*respclient.Client{m, c} {
			digest, err := peer.Do("DEBUG", "DIGEST-VALUE", key)
			at, _ := peer.Do("PEXPIRETIME", key)
			seen[i] = fmt.Sprint(digest, err, " expires ", at)
		}
		if seen[0] != seen[1] && len(out) < 10 {
			out = append(out, fmt.Sprintf("%s: %s beside %s", key, seen[0], seen[1]))
		}
	}
	return strings.Join(out, "\n")
}

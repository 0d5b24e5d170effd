// Package cluster brings a planned Kubernetes up on this machine and takes it down, and does to its nodes what a machine
// room does to real ones. It drives the other packages of hack/cluster; decisions about shape are plan's.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/builds"
	"github.com/understudy-db/understudy/hack/cluster/plan"
	"github.com/understudy-db/understudy/hack/cluster/supervise"
)

// Driver is one command's view of the one cluster of this machine.
type Driver struct {
	Dir    string    // the cluster's state; gone when it is down
	Source string    // folder hack/cluster of the source tree, for builds
	Out    io.Writer // progress

	start time.Time
}

// record is what a later command must know; it stands in <Dir>/cluster.json.
type record struct {
	Nodes   int
	Bin     string
	Runc    string
	Images  []string
	Started time.Time
}

// ErrDown means that there is no cluster to work on.
var ErrDown = errors.New("no cluster is up: start one with `make cluster-up`")

// New returns a driver for the cluster whose state is in dir; an empty dir is the default place.
func New(dir, source string, out io.Writer) (*Driver, error) {
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, err
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "understudy", "cluster")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &Driver{Dir: dir, Source: source, Out: out, start: time.Now()}, nil
}

// say prints one line of progress with the seconds since the command began.
func (d *Driver) say(format string, args ...any) {
	fmt.Fprintf(d.Out, "%6.1f s  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// Lock keeps two commands from changing the cluster at once.
func (d *Driver) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(d.Dir), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.Dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		d.say("waiting for another command that works on the cluster (lock %s)", f.Name())
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
	}
	return func() { f.Close() }, nil
}

// load reads the running cluster's plan.
func (d *Driver) load() (*plan.Plan, record, error) {
	var r record
	b, err := os.ReadFile(filepath.Join(d.Dir, "cluster.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, r, ErrDown
	}
	if err != nil {
		return nil, r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, r, fmt.Errorf("%s: %w: run `make cluster-down`", d.Dir, err)
	}
	p, err := plan.New(d.Dir, r.Bin, r.Nodes)
	return p, r, err
}

func (d *Driver) loadNode(name string) (*plan.Plan, plan.Node, error) {
	p, _, err := d.load()
	if err != nil {
		return nil, plan.Node{}, err
	}
	n, err := p.Node(name)
	return p, n, err
}

func (d *Driver) save(r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.Dir, "cluster.json"), b, 0o644)
}

func (d *Driver) supervisor() supervise.Client {
	return supervise.Client{Socket: filepath.Join(d.Dir, "supervisor.sock")}
}

// Running tells whether a cluster's supervisor lives.
func (d *Driver) Running() bool {
	_, alive := supervise.ReadPID(d.supervisorPID())
	return alive
}

func (d *Driver) supervisorPID() string { return filepath.Join(d.Dir, "supervisor.pid") }

// startSupervisor starts this very program again as the cluster's parent process, from a copy: `go run` deletes the
// original when it ends.
func (d *Driver) startSupervisor() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := d.self()
	if err := copyFile(self, bin); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.Dir, "log", "supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(bin, "supervise", "--state", d.Dir)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := supervise.WritePID(d.supervisorPID(), cmd.Process.Pid); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // reaped by us if it dies while this command still runs
	for range 250 {
		if _, err := d.supervisor().List(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the cluster's supervisor does not start: see %s", log.Name())
}

// Supervise is the supervisor's own life.
func (d *Driver) Supervise() error {
	s, err := supervise.NewServer(filepath.Join(d.Dir, "pids"))
	if err != nil {
		return err
	}
	return s.Serve(d.supervisor().Socket)
}

func (d *Driver) self() string { return filepath.Join(d.Dir, "bin", "cluster") }

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// cache is where built programs and images are kept between clusters.
func (d *Driver) cache() (builds.Cache, error) {
	dir, err := builds.DefaultDir()
	return builds.Cache{Dir: dir, Progress: func(m string) { d.say("%s", m) }}, err
}

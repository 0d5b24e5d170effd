// Package supervise is the parent of every process of a cluster: one long-lived process that starts them, reaps them,
// keeps a log for each, and takes them all with it when it dies.
//
// A parent of our own is needed because process 1 of a container is often no init: what it inherits stays a zombie. All
// children are started from one locked thread with SIGKILL as their parent-death signal, so that even `kill -9` of the
// supervisor leaves nothing behind. Requests are one JSON object per connection on a unix socket.
package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec is a process to start. Its output is appended to Log.
type Spec struct {
	Name string
	Args []string
	Env  []string
	Log  string
}

// State is what became of a process.
type State struct {
	Name  string
	PID   int
	Log   string
	Exit  string    // empty while it runs
	Ended time.Time // zero while it runs
}

type request struct {
	Verb  string // start, stop, kill, list, quit
	Spec  Spec   `json:",omitzero"`
	Name  string
	Grace time.Duration
}

type response struct {
	Error  string
	States []State
}

type child struct {
	state State
	done  chan struct{}
}

// Server holds the children. Make it with NewServer.
type Server struct {
	pidDir string
	starts chan func() // run on the one thread that may fork

	mu       sync.Mutex
	children map[string]*child
}

// NewServer returns a supervisor that records its children in pidDir.
func NewServer(pidDir string) (*Server, error) {
	if err := os.MkdirAll(pidDir, 0o755); err != nil {
		return nil, err
	}
	s := &Server{pidDir: pidDir, starts: make(chan func()), children: map[string]*child{}}
	go func() {
		runtime.LockOSThread() // never unlocked: the death of this thread would kill the children
		for f := range s.starts {
			f()
		}
	}()
	return s, nil
}

// Serve answers requests on the unix socket until it is told to quit; then every child has ended.
func (s *Server) Serve(socket string) error {
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		go func() {
			defer conn.Close()
			var req request
			if err := json.NewDecoder(conn).Decode(&req); err != nil {
				return
			}
			var resp response
			if err := s.handle(req); err != nil {
				resp.Error = err.Error()
			}
			resp.States = s.list()
			_ = json.NewEncoder(conn).Encode(resp)
			if req.Verb == "quit" {
				l.Close()
			}
		}()
	}
}

func (s *Server) handle(req request) error {
	switch req.Verb {
	case "start":
		return s.start(req.Spec)
	case "stop":
		return s.stop(req.Name, req.Grace)
	case "list":
		return nil
	case "quit":
		return s.stopAll()
	}
	return fmt.Errorf("supervisor: unknown verb %q", req.Verb)
}

func (s *Server) start(spec Spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.children[spec.Name]; c != nil && c.state.Exit == "" {
		return fmt.Errorf("%s already runs as process %d", spec.Name, c.state.PID)
	}
	if err := os.MkdirAll(filepath.Dir(spec.Log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(spec.Args[0], spec.Args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = spec.Env, log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	s.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", spec.Name, err)
	}
	c := &child{state: State{Name: spec.Name, PID: cmd.Process.Pid, Log: spec.Log}, done: make(chan struct{})}
	s.children[spec.Name] = c
	go s.reap(cmd, c)
	return WritePID(s.pidFile(spec.Name), cmd.Process.Pid)
}

func (s *Server) reap(cmd *exec.Cmd, c *child) {
	err := cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state.Exit, c.state.Ended = "exit status 0", time.Now()
	if err != nil {
		c.state.Exit = err.Error()
	}
	_ = os.Remove(s.pidFile(c.state.Name))
	close(c.done)
}

// stop asks a child to end and kills it after grace; grace 0 kills at once.
func (s *Server) stop(name string, grace time.Duration) error {
	s.mu.Lock()
	c := s.children[name]
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	if grace > 0 {
		_ = syscall.Kill(c.state.PID, syscall.SIGTERM)
		select {
		case <-c.done:
			return nil
		case <-time.After(grace):
		}
	}
	select {
	case <-c.done: // its number may belong to another process by now
		return nil
	default:
		_ = syscall.Kill(c.state.PID, syscall.SIGKILL)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%s (process %d) does not end", name, c.state.PID)
	}
}

// stopAll kills everything at once: the state is thrown away, and nodes first would only make programs complain.
func (s *Server) stopAll() error {
	var failed []error
	for _, st := range s.list() {
		failed = append(failed, s.stop(st.Name, 0))
	}
	return errors.Join(failed...)
}

func (s *Server) list() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]State, 0, len(s.children))
	for _, c := range s.children {
		states = append(states, c.state)
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return states
}

func (s *Server) pidFile(name string) string { return filepath.Join(s.pidDir, name+".pid") }

package supervise

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage/mtls"
)

// Config of a supervisor.
type Config struct {
	Program        string   // path of the server's program
	Args           []string // its arguments, without the program's name
	Identity       member.Identity
	ManagementAddr string
	CertDir        string
	HTTPAddr       string // "" serves no HTTP
	StateDir       string
	Log            func(format string, args ...any)
	Stdout, Stderr *os.File
}

const (
	// shortLife: a process that ended sooner counts towards a crash loop.
	shortLife = 10 * time.Second
	firstWait = 100 * time.Millisecond
	longWait  = 10 * time.Second
	// linger is for how long a supervisor that was told to stop waits for the proof of death to be fetched.
	linger = 300 * time.Millisecond
)

// Run starts the server process, and again whenever it ends, until SIGTERM or SIGINT. It returns the exit code for the
// program. It may be called once per process.
func Run(c Config) int {
	s, err := newSupervisor(c)
	if err != nil {
		fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
		return 1
	}
	return s.run()
}

type supervisor struct {
	Config
	ln       *net.TCPListener
	lnFile   *os.File
	door     *door
	signals  chan os.Signal
	stopping bool
	wait     time.Duration // before the next start
}

func newSupervisor(c Config) (*supervisor, error) {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, err
	}
	id, err := mtls.New(c.CertDir, c.Identity.SetUID)
	if err != nil {
		return nil, err
	}
	deaths, err := loadDeaths(c.StateDir)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", c.ManagementAddr)
	if err != nil {
		return nil, err
	}
	tcp := ln.(*net.TCPListener)
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	if c.HTTPAddr != "" {
		hl, err := net.Listen("tcp", c.HTTPAddr)
		if err != nil {
			return nil, err
		}
		go func() {
			c.Log("the probes have no listener any more: %v", healthServer(c.StateDir+"/"+httpSocket).Serve(hl))
		}()
	}
	s := &supervisor{Config: c, ln: tcp, lnFile: file, door: newDoor(tcp, id, c.Identity, deaths), signals: make(chan os.Signal, 16)}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	if os.Getpid() == 1 {
		go reapOrphans()
	}
	return s, nil
}

func (s *supervisor) run() int {
	// The child's parent-death signal follows the thread that started it.
	runtime.LockOSThread()
	for {
		life, err := s.start()
		if err != nil {
			s.Log("the server process cannot be started: %v", err)
			return 1
		}
		code := s.watch(life)
		if s.stopping {
			time.Sleep(linger)
			s.door.Close()
			return code
		}
		if !s.pause() {
			s.door.Close()
			return code
		}
	}
}

// life is one run of the server process.
type life struct {
	process  *os.Process
	identity member.Identity
	began    time.Time
	ended    chan *os.ProcessState
	ready    chan struct{}
}

func (s *supervisor) start() (*life, error) {
	inc, err := nextIncarnation(s.StateDir)
	if err != nil {
		return nil, err
	}
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), envIncarnation+"="+string(inc), envStateDir+"="+s.StateDir)
	p, err := os.StartProcess(s.Program, append([]string{s.Program}, s.Args...), &os.ProcAttr{
		Env:   env,
		Files: []*os.File{nil, s.Stdout, s.Stderr, fdListener: s.lnFile, fdReady: readyW},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	readyW.Close()
	if err != nil {
		readyR.Close()
		return nil, err
	}
	served.Store(int64(p.Pid))
	l := &life{process: p, identity: s.Identity, began: time.Now(), ended: make(chan *os.ProcessState, 1), ready: make(chan struct{})}
	l.identity.Incarnation = inc
	go func() {
		state, _ := p.Wait()
		l.ended <- state
	}()
	go func() {
		defer readyR.Close()
		var b [1]byte
		if _, err := io.ReadFull(readyR, b[:]); err == nil {
			close(l.ready)
		}
	}()
	s.Log("server process %d started, parked, incarnation %s", p.Pid, inc)
	return l, nil
}

// watch follows one life to its end and returns the exit code that it stands for.
func (s *supervisor) watch(l *life) int {
	ready := l.ready
	for {
		select {
		case <-ready:
			ready = nil
			s.door.Close()
		case sig := <-s.signals:
			s.pass(sig, l.process)
		case state := <-l.ended:
			s.bury(l, state)
			return exitCode(state)
		}
	}
}

func (s *supervisor) pass(sig os.Signal, p *os.Process) {
	if sig == syscall.SIGTERM || sig == syscall.SIGINT {
		s.stopping = true
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.Log("signal %v could not be passed on: %v", sig, err)
	}
}

// bury makes the end of a life known: first to whoever dials now, then on disk for the next process to tell.
func (s *supervisor) bury(l *life, state *os.ProcessState) {
	cause := "unknown"
	if state != nil {
		cause = state.String()
	}
	deaths := s.door.died(member.Death{Identity: l.identity, Cause: cause})
	s.door.Open()
	s.Log("server process %d, incarnation %s, is dead: %s", l.process.Pid, l.identity.Incarnation, cause)
	if err := saveDeaths(s.StateDir, deaths); err != nil {
		s.Log("the proof of death could not be written, it is told from memory only: %v", err)
	}
	if time.Since(l.began) >= shortLife {
		s.wait = 0
	} else if s.wait == 0 {
		s.wait = firstWait
	} else {
		s.wait = min(2*s.wait, longWait)
	}
}

// pause waits before the next start: not at all after a long life or the first short one. It returns false when it was
// told to stop meanwhile.
func (s *supervisor) pause() bool {
	if s.wait <= firstWait {
		return true
	}
	s.Log("the server process ended %v too early; next start in %v", shortLife, s.wait)
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case sig := <-s.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				return false
			}
		}
	}
}

func exitCode(state *os.ProcessState) int {
	if state == nil {
		return 1
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// reapOrphans collects processes that were left to process 1.
func reapOrphans() {
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		reapOthers(os.Getpid())
	}
}

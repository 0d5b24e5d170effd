package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is one running process of either kind.
type server struct {
	ours bool
	port int
	dir  string
	cmd  *exec.Cmd
	log  string
}

func build(dir string) (string, error) {
	bin := filepath.Join(dir, "understudy-server")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "github.com/understudy-db/understudy/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return bin, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start runs a server in a folder of its own and waits until it answers. Both kinds get the same flags.
func (o options) start(ours bool, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(o.dir, "srv-")
	if err != nil {
		return nil, err
	}
	return o.startIn(dir, ours, flags...)
}

func (o options) startIn(dir string, ours bool, flags ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	bin := o.redis
	if ours {
		bin = o.ours
	}
	s := &server{ours: ours, port: port, dir: dir, log: filepath.Join(dir, "log")}
	args := append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", s.log}, flags...)
	s.cmd = exec.Command(bin, args...)
	var stderr bytes.Buffer
	s.cmd.Stderr = &stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.waitReady(5 * time.Minute); err != nil {
		s.stop()
		tail, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("%s %v: %w\n%s%s", bin, args, err, tail, stderr.Bytes())
	}
	return s, nil
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// waitReady returns when PING is answered with PONG, so a loading server is not ready.
func (s *server) waitReady(limit time.Duration) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := syscall.Kill(s.cmd.Process.Pid, 0); err != nil {
			return errors.New("the process is gone")
		}
		c, err := dial(s.addr())
		if err != nil {
			continue
		}
		v, err := c.do("PING")
		c.close()
		if err == nil && string(v.Str) == "PONG" {
			return nil
		}
	}
	return errors.New("not ready in time")
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed: the error says no more
}

// cpu is the user and system time that the process has used, without its children.
func (s *server) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// proc(5): fields 14 and 15 are utime and stime in clock ticks (100 per second on Linux); field 2 may hold blanks.
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	sys, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// memory is the proportional set size in bytes of the process and its children: a forked child shares
// its pages, and only PSS counts each of them once.
func (s *server) memory() int64 {
	total := pss(s.cmd.Process.Pid)
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.cmd.Process.Pid, s.cmd.Process.Pid))
	for _, child := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(child); err == nil {
			total += pss(pid)
		}
	}
	return total
}

func pss(pid int) int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "Pss:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

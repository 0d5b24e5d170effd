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

	"golang.org/x/sys/unix"
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

// cpu is the user and system time that the process has used, without its children, to the nanosecond: the clock of the process,
// whose number Linux makes of the process's (clock_getcpuclockid(3)). /proc/PID/stat counts hundredths of a second.
func (s *server) cpu() (time.Duration, error) {
	const sched = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^s.cmd.Process.Pid<<3|sched), &t)
	return time.Duration(t.Nano()), err
}

// cpuWithChildren is cpu with the children that have ended.
func (s *server) cpuWithChildren() (time.Duration, error) { return s.ticks(11, 12, 13, 14) }

// ticks adds fields of /proc/PID/stat, counted from the one after the name: proc(5) calls 11 utime, 12 stime, 13 cutime
// and 14 cstime, in clock ticks, of which Linux has 100 a second.
func (s *server) ticks(fields ...int) (sum time.Duration, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // the name may hold blanks
	for _, i := range fields {
		n, e := strconv.ParseInt(f[i], 10, 64)
		sum, err = sum+time.Duration(n)*10*time.Millisecond, errors.Join(err, e)
	}
	return sum, err
}

// memory is the proportional set size in bytes of the process and its children: a forked child shares
// its pages, and only PSS counts each of them once.
func (s *server) memory() int64 { return s.proportional("Pss:") }

// anonymous is memory without pages of files: those of the program's own come as it runs, whatever data there is.
func (s *server) anonymous() int64 { return s.proportional("Pss_Anon:") }

func (s *server) proportional(name string) int64 {
	total := rollup(s.cmd.Process.Pid, name)
	for _, pid := range s.children() {
		total += rollup(pid, name)
	}
	return total
}

// children are the processes that the server has forked, from whichever thread.
func (s *server) children() (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	for _, list := range lists {
		raw, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(raw)) {
			if pid, err := strconv.Atoi(child); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// resetHighWater makes the kernel forget the process's highest resident size so far.
func (s *server) resetHighWater() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0) // else the figure is too high, never too low
}

// highWater is the highest resident size since, resident the present one.
func (s *server) highWater() int64 { return s.status("VmHWM:") }
func (s *server) resident() int64  { return s.status("VmRSS:") }

func (s *server) status(name string) int64 {
	return kilobytes(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid), name)
}

func rollup(pid int, name string) int64 {
	return kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), name)
}

// kilobytes reads a line of a file in /proc, in bytes; 0 when it is not there.
func kilobytes(path, name string) int64 {
	raw, _ := os.ReadFile(path)
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// Package oracle starts a real redis-server for tests that compare with it: what it answers is the
// expected value. It is for tests only and must not import the server's own parts but the codec.
package oracle

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// Server is a redis-server that listens on a unix socket and ends with its test.
type Server struct {
	Dir  string // its working directory
	Sock string

	t    testing.TB
	cmd  *exec.Cmd
	dead chan struct{}
	conn net.Conn
	r    *resp.Reader
}

// Start runs redis-server with the given arguments in a directory of its own; it skips the test with
// NOT RUN where redis-server is not installed.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartIn(t, t.TempDir(), args...)
}

// StartIn is Start in a given directory, to load what is there. Arguments come as on the command
// line: a configuration file first.
func StartIn(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	NeedRedis(t)
	sockDir, err := os.MkdirTemp("", "oracle") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockDir) })
	s := &Server{t: t, Dir: dir, Sock: filepath.Join(sockDir, "s")}
	s.cmd = exec.Command("redis-server", append(args, "--port", "0", "--unixsocket", s.Sock, "--dir", dir, "--logfile", filepath.Join(sockDir, "log"))...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.dead = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.dead)
	}()
	t.Cleanup(s.Kill)
	s.connect(filepath.Join(sockDir, "log"))
	return s
}

// NeedRedis skips the test where no redis-server is installed.
func NeedRedis(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT RUN: apt-get install redis-server redis-tools (this test compares with it)")
	}
}

func (s *Server) connect(log string) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute) // far longer than a busy machine takes
	for {
		conn, err := net.Dial("unix", s.Sock)
		if err == nil {
			s.conn, s.r = conn, resp.NewReader(conn)
			if v := s.Do("PING"); !v.IsError() {
				return
			}
			conn.Close()
		}
		if s.exited() || time.Now().After(deadline) {
			text, _ := os.ReadFile(log)
			s.t.Fatalf("redis-server does not answer: %v\n%s", err, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Do sends one command and answers the reply, errors included.
func (s *Server) Do(args ...string) resp.Value {
	s.t.Helper()
	v, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("redis-server: %v: %v", args, err)
	}
	return v
}

// Try is Do for commands that may end the connection, which is its error.
func (s *Server) Try(args ...string) (resp.Value, error) {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	if _, err := s.conn.Write(resp.AppendCommand(nil, list...)); err != nil {
		return resp.Value{}, err
	}
	return s.r.Read()
}

// Must is Do for commands that must succeed.
func (s *Server) Must(args ...string) resp.Value {
	s.t.Helper()
	v := s.Do(args...)
	if v.IsError() {
		s.t.Fatalf("redis-server: %v: %s", args, v.Str)
	}
	return v
}

// Signal sends a signal to the process.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
}

// Log is what the process has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(s.Sock), "log")) // none yet
	return string(text)
}

// Ended tells whether the process has ended, and with which code.
func (s *Server) Ended() (code int, ended bool) {
	if !s.exited() {
		return 0, false
	}
	return s.cmd.ProcessState.ExitCode(), true
}

// Kill ends the process and waits for it; it may be called twice.
func (s *Server) Kill() {
	if s.conn != nil {
		s.conn.Close()
	}
	_ = s.cmd.Process.Kill()
	<-s.dead
}

func (s *Server) exited() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

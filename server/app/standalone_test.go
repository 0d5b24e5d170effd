package app

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
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// alone is a server process that nobody manages.
type alone struct {
	*client
	cmd *exec.Cmd
	log bytes.Buffer
}

func startAlone(t *testing.T, dir string, args ...string) *alone {
	t.Helper()
	s := &alone{}
	socket := filepath.Join(dir, "s")
	s.cmd = exec.Command(os.Args[0], append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir}, args...)...)
	s.cmd.Env = append(os.Environ(), asServer+"=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	for range 6000 {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		t.Cleanup(func() { nc.Close() })
		s.client = &client{t, nc, resp.NewReader(nc)}
		for strings.Contains(s.do("DBSIZE"), "LOADING") {
			time.Sleep(5 * time.Millisecond)
		}
		return s
	}
	t.Fatal("the server does not answer")
	return nil
}

// end sends SIGTERM and answers the exit code.
func (s *alone) end() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "alone") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSIGTERMSavesAndTheNextStartLoads(t *testing.T) {
	dir := shortDir(t)
	s := startAlone(t, dir, "--save", "3600", "1")
	for i := range 50 {
		if got := s.do("SET", fmt.Sprint("key:", i), "v"); got != "OK" {
			t.Fatal(got)
		}
	}
	s.do("HSET", "h", "f", "v")
	s.do("SELECT", "5")
	s.do("SET", "five", "5", "EX", "1000")
	if code := s.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.log.String())
	}
	s = startAlone(t, dir, "--save", "")
	if got := s.do("DBSIZE"); got != "(integer) 51" {
		t.Errorf("%s keys", got)
	}
	if got := s.do("HGET", "h", "f"); got != `"v"` {
		t.Errorf("hash field %s", got)
	}
	s.do("SELECT", "5")
	ttl, got := 0, s.do("TTL", "five")
	if _, err := fmt.Sscanf(got, "(integer) %d", &ttl); err != nil || ttl > 1000 || ttl < 900 {
		t.Errorf("TTL %s", got)
	}
	s.do("SET", "unsaved", "x")
	if code := s.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s = startAlone(t, dir, "--save", "")
	s.do("SELECT", "5")
	if got := s.do("GET", "unsaved"); got != "(nil)" {
		t.Errorf("saved without save points: %s", got)
	}
}

func TestCommandsOfSaving(t *testing.T) {
	dir := shortDir(t)
	s := startAlone(t, dir, "--save", "", "--enable-debug-command", "yes")
	s.do("SET", "a", "1")
	if got := s.do("SAVE"); got != "OK" {
		t.Error(got)
	}
	if got := s.do("BGSAVE", "SCHEDULE"); got != "Background saving started" {
		t.Error(got)
	}
	if got := s.do("BGSAVE", "NOW"); !strings.Contains(got, "syntax error") {
		t.Error(got)
	}
	s.do("MULTI")
	s.do("BGSAVE")
	s.do("SET", "b", "2")
	if got := s.do("EXEC"); !strings.Contains(got, "Background saving scheduled") && !strings.Contains(got, "already in progress") {
		t.Errorf("BGSAVE inside a transaction: %s", got)
	}
	if got := s.do("DEBUG", "RELOAD"); got != "OK" {
		t.Error(got)
	}
	if got := s.do("MGET", "a", "b"); got != `*["1" "2"]` {
		t.Error(got)
	}
	if got := s.do("LASTSAVE"); !strings.HasPrefix(got, "(integer) ") {
		t.Error(got)
	}
	if got := s.do("SHUTDOWN", "NOSAVE"); !strings.Contains(got, "EOF") {
		t.Errorf("SHUTDOWN answers %s", got)
	}
	_ = s.cmd.Wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestUnreadableFileEndsTheStart: an empty data set must not stand in for it (S2).
func TestUnreadableFileEndsTheStart(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), []byte("REDIS0010\x00garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--dir", dir)
	cmd.Env = append(os.Environ(), asServer+"=1")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "Fatal error loading the DB") {
		t.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

func TestBadDirectiveEndsTheStart(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--maxmemory", "10x")
	cmd.Env = append(os.Environ(), asServer+"=1")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "*** FATAL CONFIG FILE ERROR") || !strings.Contains(string(out), `>>> 'maxmemory "10x"'`) {
		t.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// TestPortAndBindMove: CONFIG SET moves the listening sockets, and what cannot be listened on changes nothing.
func TestPortAndBindMove(t *testing.T) {
	s := startAlone(t, shortDir(t))
	port := freePort(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	serves := func(port int, want bool) {
		t.Helper()
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer nc.Close()
			c := &client{t, nc, resp.NewReader(nc)}
			if got := c.do("PING"); got != "PONG" {
				t.Errorf("port %d answers %s", port, got)
			}
		}
		if (err == nil) != want {
			t.Errorf("port %d is served: %v, want %v", port, err == nil, want)
		}
	}
	set := func(name, value, want string) {
		t.Helper()
		if got := s.do("CONFIG", "SET", name, value); !strings.Contains(got, want) {
			t.Errorf("CONFIG SET %s %q: %s, want %q", name, value, got, want)
		}
	}
	serves(port, false)
	set("port", strconv.Itoa(port), "OK")
	serves(port, true)
	set("port", strconv.Itoa(taken), "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port")
	serves(port, true)
	if got := s.do("CONFIG", "GET", "port"); !strings.Contains(got, strconv.Itoa(port)) {
		t.Errorf("the old port is not in force: %s", got)
	}
	set("bind", "999.999.999.999", "Failed to bind to specified addresses")
	serves(port, true)
	set("bind", "127.0.0.1", "OK")
	serves(port, true)
	set("bind", "", "OK")
	serves(port, false)
	set("bind", "* -::*", "OK")
	serves(port, true)
	if got := s.do("INFO", "server"); !strings.Contains(got, fmt.Sprintf("tcp_port:%d", port)) {
		t.Errorf("INFO does not tell port %d", port)
	}
	set("port", "0", "OK")
	serves(port, false)
}

// TestShutdownAbort: an end that waits for a replica, by signal or by command, can be called off.
func TestShutdownAbort(t *testing.T) {
	dir := shortDir(t)
	s := startAlone(t, dir, "--save", "", "--repl-diskless-sync", "no", "--shutdown-timeout", "60")
	replica, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	fmt.Fprint(replica, "PSYNC ? -1\r\n")
	for !strings.Contains(s.do("INFO", "replication"), "state=online") {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprint(replica, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n")
	}
	if got := s.do("SHUTDOWN", "ABORT"); !strings.Contains(got, "No shutdown in progress") {
		t.Error(got)
	}
	s.do("SET", "behind", "1")
	other := dialAlone(t, dir)
	for _, begin := range []func(){
		func() { _ = s.cmd.Process.Signal(syscall.SIGTERM) },
		func() { fmt.Fprint(other, "SHUTDOWN\r\n") },
	} {
		begin()
		abort := ""
		for range 2000 {
			if abort = s.do("SHUTDOWN", "ABORT"); abort == "OK" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if abort != "OK" {
			t.Fatalf("nothing to abort: %s", abort)
		}
		if got := s.do("SET", "after", "1"); got != "OK" {
			t.Errorf("a write after the abort: %s", got)
		}
	}
	buf := make([]byte, 200)
	if n, err := other.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "Errors trying to SHUTDOWN") {
		t.Errorf("the client that asked is told %q, %v", buf[:n], err)
	}
	for range 50 { // who is seen to wait can be aborted
		c := dialAlone(t, dir)
		fmt.Fprint(c, "SHUTDOWN\r\n")
		for !strings.Contains(s.do("INFO", "clients"), "blocked_clients:1") {
			time.Sleep(time.Millisecond)
		}
		if got := s.do("SHUTDOWN", "ABORT"); got != "OK" {
			t.Fatal(got)
		}
		for !strings.Contains(s.do("INFO", "clients"), "blocked_clients:0") {
			time.Sleep(time.Millisecond)
		}
		c.Close()
	}
	if got := s.do("SHUTDOWN", "NOSAVE", "NOW"); !strings.Contains(got, "EOF") {
		t.Errorf("SHUTDOWN answers %s", got)
	}
}

func dialAlone(t *testing.T, dir string) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// TestCrashReport: a signal that ends the process leaves a report in the log, between the lines that tools look for.
func TestCrashReport(t *testing.T) {
	for name, crash := range map[string]func(s *alone){
		"crashed by signal: 11": func(s *alone) { s.do("DEBUG", "SEGFAULT") },
		"crashed by signal: 6":  func(s *alone) { _ = s.cmd.Process.Signal(syscall.SIGABRT) },
	} {
		s := startAlone(t, shortDir(t), "--enable-debug-command", "yes")
		s.do("SET", "a", "b")
		crash(s)
		if err := s.cmd.Wait(); err == nil {
			t.Errorf("%s: the process ended well", name)
		}
		for _, part := range []string{name, "REDIS BUG REPORT START", "STACK TRACE", "goroutine ", "REDIS BUG REPORT END"} {
			if !strings.Contains(s.log.String(), part) {
				t.Errorf("%s: the log lacks %q", name, part)
			}
		}
	}
	s := startAlone(t, shortDir(t), "--crash-log-enabled", "no")
	_ = s.cmd.Process.Signal(syscall.SIGABRT)
	if err := s.cmd.Wait(); err == nil || strings.Contains(s.log.String(), "BUG REPORT") {
		t.Errorf("crash-log-enabled no: %v, %.500s", err, s.log.String())
	}
}

// TestTakenPort: the start ends in Redis' words, by which its test suite knows that it has to take another port.
func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	cmd := exec.Command(os.Args[0], "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "")
	cmd.Env = append(os.Environ(), asServer+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the end: %v", err)
	}
	want := []string{
		fmt.Sprintf("# Warning: Could not create server TCP listening socket 127.0.0.1:%d: bind: Address already in use\n", port),
		fmt.Sprintf("# Failed listening on port %d (TCP), aborting.\n", port),
	}
	for _, line := range want {
		if !strings.Contains(string(out), line) {
			t.Errorf("the log lacks %q:\n%s", line, out)
		}
	}
}

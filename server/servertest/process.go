package servertest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/understudy-db/understudy/server/app"
)

// argsVariable makes the test's binary the server: Main looks at it.
const argsVariable = "UNDERSTUDY_SERVERTEST_ARGS"

// beServer runs the server when this process was started for that.
func beServer() {
	text := os.Getenv(argsVariable)
	if text == "" {
		return
	}
	var args []string
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		panic(err)
	}
	os.Exit(app.Main(args, bytes.NewReader(nil), os.Stdout, os.Stderr))
}

// Process is a server of ours in a process of its own, as a user runs it. It needs Main in the package's TestMain.
type Process struct {
	*Client
	t    testing.TB
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
	log  lockedBuffer
}

// Command is the server's program with its arguments: this test's binary, whose TestMain calls Main.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), argsVariable+"="+string(text))
	return cmd
}

// StartProcess runs a server without persistence on a free port with the given directives.
func StartProcess(t testing.TB, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, port: FreePort(t), dir: t.TempDir(), args: args}
	p.Client = Dial(t, p.port, passwordIn(args))
	p.Start()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of the process on port %d:\n%s", p.port, p.Log())
		}
	})
	return p
}

// Start starts it, or again after Kill, on its port.
func (p *Process) Start() {
	p.t.Helper()
	p.cmd = Command(p.t, append([]string{"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--dir", p.dir, "--save", "",
		"--enable-debug-command", "yes"}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	Await(p.t, "the process to answer", func() bool { return !p.Do("PING").IsError() })
}

// Port is where it listens.
func (p *Process) Port() int { return p.port }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Dir is where it keeps its files.
func (p *Process) Dir() string { return p.dir }

// Kill ends it as kill -9 does.
func (p *Process) Kill() {
	p.Client.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Log is what it has written.
func (p *Process) Log() string { return p.log.String() }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package servertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/servertest/port"
)

// Redis is a real redis-server on a TCP port.
type Redis struct {
	*Client
	t    testing.TB
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
}

// StartRedis runs a redis-server without persistence; the test is NOT RUN where there is none.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	oracle.NeedRedis(t)
	r := &Redis{t: t, port: FreePort(t), dir: t.TempDir(), args: args}
	r.Start()
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(r.dir, "log"))
			t.Logf("log of the redis-server on port %d:\n%s", r.port, log)
		}
	})
	return r
}

// passwordIn finds the password among arguments.
func passwordIn(args []string) string {
	for i, a := range args {
		if a == "--requirepass" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// FreePort is a port that was free a moment ago.
func FreePort(t testing.TB) int { return port.Free(t) }

// Start starts it (again) on its port.
func (r *Redis) Start() {
	r.t.Helper()
	args := append([]string{"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir, "--logfile", "log", "--save", "",
		"--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"}, r.args...)
	r.cmd = exec.Command("redis-server", args...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.Client = Dial(r.t, r.port, passwordIn(r.args))
	Await(r.t, "redis-server to answer", func() bool {
		time.Sleep(20 * time.Millisecond)
		return !r.Do("PING").IsError()
	})
}

// Port is where it listens.
func (r *Redis) Port() int { return r.port }

// Kill ends the process as kill -9 does.
func (r *Redis) Kill() {
	r.Client.Close()
	if r.cmd.Process != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

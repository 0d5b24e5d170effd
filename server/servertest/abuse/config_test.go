package abuse

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestBadConfiguration: a wrong directive or value ends the start with the place and the line, in a file and in flags.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "server.conf")
	for _, bad := range []string{
		"maxmemory 10x", "maxmemory -1", "port 65536", "port x", "port", "port 1 2", "appendonly maybe", "save 1", "save a b", "save 1 -1", "no-such-directive 1",
		"loglevel loud", "requirepass \"open", "rename-command NOSUCH x", "rename-command GET SET", "include /nowhere/at/all", "maxmemory-policy none",
		"client-output-buffer-limit nobody 1 2 3", "client-output-buffer-limit normal 1 2", "replicaof host", "replicaof host 0x10", "databases 0",
		"dir /nowhere/at/all", "unixsocketperm 999", "tcp-backlog -5", "repl-timeout 0", "hash-max-listpack-entries x", "proto-max-bulk-len 1",
		"\x00\x01\x02", "'port' '", strings.Repeat("x", 100000),
	} {
		text := "# a comment\nport 0\nunixsocket " + filepath.Join(dir, "s") + "\n" + bad + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := mustEnd(t, bad, servertest.Command(t, path))
		// Renames are judged when the server is assembled: the line is gone then, the word is not.
		late := strings.HasPrefix(bad, "rename-") || strings.HasPrefix(bad, "include ")
		if !late && (!strings.Contains(out, "at line 4") || !strings.Contains(out, path)) {
			t.Errorf("%.60q: no line and file in %.400q", bad, out)
		}
		word := strings.Fields(bad + " x")[1]
		if late && !strings.Contains(out, word) {
			t.Errorf("%q: %s is not named in %.400q", bad, word, out)
		}
	}
	for _, flags := range [][]string{{"--maxmemory", "10x"}, {"--no-such-directive", "1"}, {"--port", "99999"}, {"--save", "1"}, {"--appendonly", "maybe"}, {"/nowhere/at/all.conf"},
		{"--bind", "999.1.1.1", "--port", fmt.Sprint(servertest.FreePort(t))}} {
		if out := mustEnd(t, flags[0], servertest.Command(t, flags...)); !strings.Contains(out, flags[min(1, len(flags)-1)]) {
			t.Errorf("%q: not named in %.400q", flags, out)
		}
	}
}

func mustEnd(t *testing.T, what string, cmd *exec.Cmd) string {
	t.Helper()
	t.Cleanup(func() {
		if cmd.ProcessState == nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	})
	ended := make(chan struct{})
	var out []byte
	go func() {
		out, _ = cmd.CombinedOutput()
		close(ended)
	}()
	servertest.Await(t, fmt.Sprintf("the server to refuse %.60q", what), func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(string(out), "goroutine ") {
		t.Errorf("%.60q: exit code %d: %.1000s", what, code, out)
	}
	return string(out)
}

// TestFewDescriptors: maxclients is lowered to what the limit of open files allows, so that a client too many is told so.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), servertest.FreePort(t)
	cmd := servertest.Command(t, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", filepath.Join(dir, "log"))
	cmd.Args = []string{"sh", "-c", "ulimit -n 100 && exec \"$0\"", cmd.Path}
	cmd.Path = "/bin/sh"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := servertest.Dial(t, port, "")
	t.Cleanup(c.Close)
	servertest.Await(t, "the server", func() bool { return !c.Do("PING").IsError() })
	if got := string(c.Must("CONFIG", "GET", "maxclients").Elems[1].Str); got != "68" {
		t.Errorf("maxclients is %s with 100 descriptors", got)
	}
	refused := 0
	for range 120 {
		w := dial(t, port)
		w.say("PING\r\n")
		switch got := w.hear("\r\n"); got {
		case "-ERR max number of clients reached\r\n":
			refused++
		case "+PONG\r\n":
		default:
			t.Fatalf("answered %q", got)
		}
	}
	if refused != 120-67 {
		t.Errorf("%d of 120 were refused", refused)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !strings.Contains(string(log), "maxclients has been reduced to 68") {
		t.Errorf("the log does not tell of it: %v %s", err, log)
	}
}

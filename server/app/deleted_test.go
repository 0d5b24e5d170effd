package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// goner is a server that is asked to end while its directory is gone.
type goner struct {
	t      *testing.T
	send   func(args ...string)
	reply  func() string // what it says, "" when the connection ends
	signal func(syscall.Signal)
	log    func() string
	ended  func() (code int, ended bool)
}

const refusal = "Errors trying to shut down the server. Check the logs for more information."

// ask does one thing and tells what came of it.
func (s *goner) ask(what string) string {
	s.t.Helper()
	before := strings.Count(s.log(), refusal)
	answer := ""
	switch what {
	case "SIGTERM":
		s.signal(syscall.SIGTERM)
	case "SIGINT":
		s.signal(syscall.SIGINT)
	default:
		s.send(strings.Fields(what)...)
		answer = s.reply()
	}
	for range 4000 {
		if code, ended := s.ended(); ended {
			return fmt.Sprintf("%s: ends with %d", what, code)
		}
		if strings.Count(s.log(), refusal) > before {
			return fmt.Sprintf("%s: goes on, %s", what, answer)
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("%s: neither the end nor a refusal\n%s", what, s.log())
	return ""
}

func theirEnding(t *testing.T, dir string, args []string) *goner {
	r := oracle.StartIn(t, dir, args...)
	r.Must("SET", "key", "value")
	var got []byte
	return &goner{
		t: t, signal: func(sig syscall.Signal) { r.Signal(sig) }, log: r.Log, ended: r.Ended,
		send: func(args ...string) {
			v, err := r.Try(args...)
			if got = v.Str; err != nil {
				got = nil
			}
		},
		reply: func() string { return string(got) },
	}
}

func ourEnding(t *testing.T, dir string, args []string) *goner {
	log := filepath.Join(shortDir(t), "log")
	s := startAlone(t, shortDir(t), append(args, "--dir", dir, "--logfile", log)...)
	if got := s.do("SET", "key", "value"); got != "OK" {
		t.Fatal(got)
	}
	done := make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-done
	})
	return &goner{
		t: t,
		signal: func(sig syscall.Signal) {
			if err := s.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		},
		log: func() string { text, _ := os.ReadFile(log); return string(text) },
		ended: func() (int, bool) {
			select {
			case <-done:
				return s.cmd.ProcessState.ExitCode(), true
			default:
				return 0, false
			}
		},
		send: func(args ...string) {
			var list [][]byte
			for _, a := range args {
				list = append(list, []byte(a))
			}
			_, _ = s.nc.Write(resp.AppendCommand(nil, list...))
		},
		reply: func() string {
			v, err := s.r.Read()
			if err != nil {
				return ""
			}
			return string(v.Str)
		},
	}
}

// TestEndWithoutADirectory: a server whose directory was deleted does not lose what it was to save by a signal or SHUTDOWN,
// again and again, until it is told that it may; one that was to save nothing ends. As Redis does.
func TestEndWithoutADirectory(t *testing.T) {
	oracle.NeedRedis(t)
	for _, c := range []struct {
		args  []string
		steps []string
	}{
		{[]string{"--save", "3600 1"}, []string{"SIGTERM", "SIGTERM", "SHUTDOWN", "SHUTDOWN NOW", "SIGTERM", "SHUTDOWN FORCE"}},
		{[]string{"--save", "3600 1"}, []string{"SIGINT", "SIGINT", "SHUTDOWN SAVE", "SHUTDOWN NOSAVE"}},
		{[]string{"--save", "3600 1"}, []string{"SIGTERM", "SHUTDOWN NOW FORCE"}},
		{[]string{"--save", "3600 1", "--shutdown-on-sigterm", "force"}, []string{"SHUTDOWN", "SIGTERM"}},
		{[]string{"--save", "3600 1", "--shutdown-on-sigterm", "nosave"}, []string{"SIGTERM"}},
		{[]string{"--save", ""}, []string{"SHUTDOWN SAVE", "SIGTERM"}},
		{[]string{"--save", "", "--appendonly", "yes"}, []string{"SHUTDOWN SAVE", "SIGTERM"}},
		{[]string{"--save", "3600 1", "--appendonly", "yes"}, []string{"SIGTERM", "SHUTDOWN", "SHUTDOWN NOSAVE"}},
	} {
		t.Run(strings.Join(append(c.args, c.steps...), " "), func(t *testing.T) {
			var saw [2][]string
			for i, start := range []func(*testing.T, string, []string) *goner{theirEnding, ourEnding} {
				dir := filepath.Join(t.TempDir(), "data")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				s := start(t, dir, c.args)
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				for _, what := range c.steps {
					saw[i] = append(saw[i], s.ask(what))
				}
				if i == 1 && strings.Contains(s.log(), refusal) && !strings.Contains(s.log(), dir+"/") {
					t.Errorf("nothing says which file could not be written:\n%s", s.log())
				}
			}
			if theirs, ours := strings.Join(saw[0], "\n"), strings.Join(saw[1], "\n"); ours != theirs {
				t.Errorf("ours\n%s\nredis-server\n%s", ours, theirs)
			}
		})
	}
}

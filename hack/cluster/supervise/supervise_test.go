package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve runs a supervisor in this process and ends it, and all its children, with the test.
func serve(t *testing.T) (Client, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := NewServer(filepath.Join(dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Socket: filepath.Join(dir, "s")}
	done := make(chan error)
	go func() { done <- s.Serve(c.Socket) }()
	eventually(t, func() bool { _, err := c.List(); return err == nil })
	t.Cleanup(func() {
		if err := c.Quit(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		left, _ := filepath.Glob(filepath.Join(dir, "pids", "*"))
		if len(left) > 0 {
			t.Errorf("still recorded after the end: %v", left)
		}
	})
	return c, dir
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	const within = time.Minute // generous: the machine may be busy with other things
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen within %v", within)
}

func find(t *testing.T, c Client, name string) State {
	t.Helper()
	states, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s is not listed", name)
	return State{}
}

func TestStartLogStop(t *testing.T) {
	c, dir := serve(t)
	log := filepath.Join(dir, "log", "a.log")
	spec := Spec{Name: "a", Log: log, Env: []string{"WORD=hello"}, Args: []string{"/bin/sh", "-c", "echo $WORD; exec sleep 600"}}
	if err := c.Start(spec); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(spec); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Errorf("a second start of a running process: %v", err)
	}
	eventually(t, func() bool { b, _ := os.ReadFile(log); return string(b) == "hello\n" })
	pid, alive := ReadPID(filepath.Join(dir, "pids", "a.pid"))
	if s := find(t, c, "a"); !alive || s.PID != pid || s.Exit != "" {
		t.Errorf("listed as %+v, recorded as %d, %v", s, pid, alive)
	}
	if err := c.Stop("a", time.Second); err != nil {
		t.Fatal(err)
	}
	if s := find(t, c, "a"); s.Exit == "" || s.Ended.IsZero() || StartTime(pid) != 0 {
		t.Errorf("after stop: %+v", s)
	}
	if err := c.Start(spec); err != nil {
		t.Errorf("start after stop: %v", err)
	}
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	c, dir := serve(t)
	log := filepath.Join(dir, "b.log")
	if err := c.Start(Spec{Name: "b", Log: log, Args: []string{"/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { b, _ := os.ReadFile(log); return len(b) > 0 })
	if err := c.Stop("b", 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s := find(t, c, "b"); s.Exit != "signal: killed" {
		t.Errorf("ended by %q", s.Exit)
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	c, dir := serve(t)
	err := c.Start(Spec{Name: "c", Log: filepath.Join(dir, "c.log"), Args: []string{"/no/such/program"}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}

// TestEndRecordedSparesStrangers gives a living process's number with another start time: as after the number was
// given to somebody else.
func TestEndRecordedSparesStrangers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pid")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d 12345\n", os.Getpid()), 0o644); err != nil {
		t.Fatal(err)
	}
	if pid, alive := ReadPID(file); alive {
		t.Fatalf("process %d counts as ours", pid)
	}
	if err := EndRecorded(file); err != nil {
		t.Fatal(err)
	}
	if StartTime(os.Getpid()) == 0 {
		t.Error("this process has no start time")
	}
}

package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCollision(t *testing.T) {
	networks := []string{"10.90.0.0/24", "10.244.0.0/16"}
	for address, want := range map[string]string{
		"10.90.0.7/24":    "10.90.0.0/24",  // the same network
		"10.244.3.1/24":   "10.244.0.0/16", // inside ours
		"10.0.0.1/8":      "10.90.0.0/24",  // ours is inside it
		"192.168.1.5/24":  "",
		"10.91.0.1/24":    "",
		"fe80::1/64":      "",
		"not an address":  "",
		"10.90.1.254/255": "",
	} {
		if got := collision(address, networks); got != want {
			t.Errorf("%s collides with %q, want %q", address, got, want)
		}
	}
}

func TestLookPathFindsSystemPrograms(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	if lookPath("mount") == "" || lookPath("/bin/sh") == "" {
		t.Error("programs of the system's folders must be found whatever PATH is")
	}
	if p := lookPath("no-such-program"); p != "" {
		t.Errorf("found %s", p)
	}
}

func TestRunTellsWhatTheProgramSaid(t *testing.T) {
	err := run("sh", "-c", "echo the reason >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestInstallWithoutApt(t *testing.T) {
	if lookPath("apt-get") != "" {
		t.Log("apt-get is here: only the message's ingredients are checked")
		f := Detect(nil)
		for _, p := range f.Missing {
			if strings.ContainsAny(p, "/ ") {
				t.Errorf("%q is no package name", p)
			}
		}
		return
	}
	err := InstallPackages([]string{"containerd", "runc"}, filepath.Join(t.TempDir(), "log"))
	if err == nil || !strings.Contains(err.Error(), "containerd runc") {
		t.Errorf("got %v: it must name what to install", err)
	}
}

func TestRemoveTree(t *testing.T) {
	top := filepath.Join(t.TempDir(), "a")
	if err := os.MkdirAll(filepath.Join(top, "b", "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(top); err != nil || exists(top) {
		t.Errorf("%v", err)
	}
	if err := removeTree(top); err != nil {
		t.Errorf("what is gone already is no error: %v", err)
	}
}

// TestProcessesOf looks for a child by what stands in its control group file: every process of a test shares one.
func TestProcessesOf(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if pids, err := ProcessesOf("no-container-has-this-id", false); err != nil || len(pids) > 0 {
		t.Errorf("%v, %v", pids, err)
	}
	if firstOfNamespace(cmd.Process.Pid) {
		t.Error("an ordinary child counts as process 1")
	}
}

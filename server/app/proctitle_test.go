package app

import (
	"bytes"
	"os"
	"testing"

	"github.com/understudy-db/understudy/server/settings"
)

// TestProcTitle wants every variable filled in, what there is no room for cut off, and nothing of the old text left behind.
func TestProcTitle(t *testing.T) {
	cfg := settings.New()
	text := `port 7001
bind 127.0.0.1 ::1
proc-title-template "T {title} {listen-addr}{server-mode} {port} {tls-port} [{unixsocket}{config-file}] "`
	if err := cfg.LoadText("test", text); err != nil {
		t.Fatal(err)
	}
	p := newProcTitle(cfg)
	p.program = "/bin/{port}" // is not looked into
	for room, want := range map[int]string{200: "T /bin/{port} 127.0.0.1:7001 7001 0 []", 8: "T /bin/"} {
		p.room = bytes.Repeat([]byte("old"), room)[:room]
		p.show()
		if got := string(bytes.TrimRight(p.room, "\x00")); got != want {
			t.Errorf("with room for %d bytes the title is %q", room, got)
		}
	}
}

// TestProcTitleKept wants the process to keep its name where that is asked for.
func TestProcTitleKept(t *testing.T) {
	cfg := settings.New()
	if err := cfg.LoadText("test", "set-proc-title no"); err != nil {
		t.Fatal(err)
	}
	p := newProcTitle(cfg)
	p.room = []byte("old")
	if p.show(); string(p.room) != "old" {
		t.Errorf("the title is %q", p.room)
	}
}

func TestListensAt(t *testing.T) {
	for text, want := range map[string]string{
		"": "*:6379", "bind 10.0.0.1": "10.0.0.1:6379", "port 0\ntls-port 7002": "*:7002", "port 0\nunixsocket /tmp/s": "/tmp/s",
	} {
		cfg := settings.New()
		if err := cfg.LoadText("test", text); err != nil {
			t.Fatal(err)
		}
		if got := newProcTitle(cfg).listens(); got != want {
			t.Errorf("%q: listens at %q, want %q", text, got, want)
		}
	}
}

// TestArgumentBounds looks for the arguments of this very process where it says that they are.
func TestArgumentBounds(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("NOT RUN: /proc is not there (Linux only)")
	}
	start, end, ok := argumentBounds(stat)
	if !ok || end-start < uintptr(len(os.Args[0])) {
		t.Errorf("from %x to %x, %v: %s", start, end, ok, stat)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) R 2 3", "1 (a) b) R"} {
		if _, _, ok := argumentBounds([]byte(bad)); ok {
			t.Errorf("%q has bounds", bad)
		}
	}
}

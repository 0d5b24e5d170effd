package servertest

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/migrate"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/script"
	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
	"github.com/understudy-db/understudy/server/transport"
)

// Server is a server of ours that listens on a port of 127.0.0.1 and ends with its test. It keeps nothing on disk.
type Server struct {
	*Client
	Node     *link.Node
	Engine   *engine.Engine
	Settings *settings.Settings
	Scripts  *script.Host

	t          testing.TB
	port       int
	dir        string
	net        *transport.Server
	migrations *migrate.Server
	once       sync.Once

	mu  sync.Mutex
	log []string
}

// Start runs a server on a free port with the given directives, as on a command line: "--name", "value".
func Start(t testing.TB, args ...string) *Server { return StartAt(t, 0, args...) }

// StartAt is Start on a given port.
func StartAt(t testing.TB, port int, args ...string) *Server { return start(t, port, nil, args) }

// StartMember is Start for a managed member; it is parked.
func StartMember(t testing.TB, m *link.Managed, args ...string) *Server { return start(t, 0, m, args) }

func start(t testing.TB, port int, managed *link.Managed, args []string) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), port: port, Settings: settings.New()}
	args = append([]string{"--dir", s.dir, "--save", "", "--enable-debug-command", "yes"}, args...)
	if err := s.Settings.Load(settings.ParseArgs(args), strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	log := oplog.New(oplog.Options{BacklogSize: s.Settings.Int(settings.ReplBacklogSize)})
	s.Engine = engine.New(engine.Options{Store: store.New(store.Options{}), Log: log, Table: command.NewTable(), Logf: s.logf})
	sessions := session.New(session.Options{Engine: s.Engine, Settings: s.Settings, Logf: s.logf, Version: "test", RunID: oplog.RandomID()})
	if err := sessions.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	s.Scripts = script.New(script.Options{Engine: s.Engine, Version: session.Version,
		BusyAfter: func() time.Duration {
			return time.Duration(s.Settings.Int(settings.BusyReplyThreshold)) * time.Millisecond
		},
		Logf: func(_ int, text string) { s.logf("%s", text) }})
	s.Node = link.New(link.Options{Engine: s.Engine, Settings: s.Settings, Port: func() int { return s.port }, Managed: managed,
		Log: func(level repl.Level, text string) { s.logf("%s", repl.Log{Level: level, Text: text}) }})
	s.migrations = migrate.New(s.Engine)
	sessions.CountMigrations(s.migrations.Sockets)
	var err error
	if s.net, err = transport.New(transport.Options{Engine: s.Engine, Sessions: sessions, Loops: 1, Logf: s.logf, Verbosef: s.logf}); err != nil {
		t.Fatal(err)
	}
	at, err := s.net.ListenTCP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), 128)
	if err != nil {
		t.Fatal(err)
	}
	s.port = int(at.Port())
	s.Engine.Start()
	s.Node.Booted(link.Boot{})
	s.net.Start()
	t.Cleanup(s.Close)
	s.Client = Dial(t, s.Port(), s.Settings.String(settings.RequirePass))
	return s
}

// Port is where it listens.
func (s *Server) Port() int { return s.port }

// Close ends the server: its memory is gone, as after a crash, and its port is free.
func (s *Server) Close() {
	s.once.Do(func() {
		if s.Client != nil {
			s.Client.Close()
		}
		s.net.Close()
		s.migrations.Close()
		s.Node.Close()
		s.Engine.Close()
		left, _ := os.ReadDir(s.dir)
		for _, f := range left {
			if strings.HasPrefix(f.Name(), "temp-") {
				s.t.Errorf("%s was left behind", f.Name())
			}
		}
		if s.t.Failed() {
			s.t.Logf("log of the server on port %d:\n%s", s.port, s.Log())
		}
	})
}

func (s *Server) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// Log is what the server has logged.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

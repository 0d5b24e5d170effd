package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/server/certs"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/manage"
	"github.com/understudy-db/understudy/server/migrate"
	"github.com/understudy-db/understudy/server/offheap"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/relay"
	"github.com/understudy-db/understudy/server/saving"
	"github.com/understudy-db/understudy/server/script"
	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
	"github.com/understudy-db/understudy/server/transport"
)

// Version is the version of this program; the linker may set it.
var Version = "0.1.0-dev"

// App is one server in this process.
type App struct {
	Settings *settings.Settings
	Engine   *engine.Engine
	Sessions *session.Server
	scripts  *script.Host
	Log      *oplog.Log
	Store    *store.Store

	loaded     func() // called once the data is there, before clients may write; nil: nobody wants to know
	facts      facts
	probes     *http.Server // nil: not served
	node       *link.Node
	migrations *migrate.Server
	saver      *saving.Saver
	password   *manage.PasswordFile // nil: none
	member     *memberParts         // nil: not managed

	logger    *Logger
	table     *command.Table
	transport *transport.Server
	certs     *certs.Certs
	oom       *oomScore
	title     *procTitle
	relay     *relay.Relay // nil: no primary port
	runID     string
	ending    ending
	end       chan error // the first request to end
	done      chan struct{}
	once      sync.Once
	work      sync.WaitGroup
}

// New assembles a server from its settings. Nothing runs before Start.
func New(cfg *settings.Settings, logs io.Writer) (*App, error) {
	a := &App{Settings: cfg, end: make(chan error, 1), done: make(chan struct{}), runID: randomHex(20)}
	a.logger = NewLogger(cfg.String(settings.LogFile), cfg.Enum(settings.LogLevel), logs)
	a.table = command.NewTable()
	a.Store = store.New(store.Options{Databases: int(cfg.Int(settings.Databases)), Seed: mathrand.Uint64(), Pages: offheap.New()})
	a.Log = oplog.New(oplog.Options{BacklogSize: cfg.Int(settings.ReplBacklogSize)})
	a.Engine = engine.New(engine.Options{Store: a.Store, Log: a.Log, Table: a.table, Logf: a.logger.Noticef})
	if path := cfg.String(settings.AckLog); path != "" {
		if err := a.Engine.Gate().RecordAcks(path); err != nil {
			return nil, fmt.Errorf("ack-log: %w", err)
		}
	}
	if err := a.fitMaxClients(); err != nil {
		return nil, err
	}
	if err := a.readPassword(); err != nil {
		return nil, err
	}
	a.Sessions = session.New(session.Options{Engine: a.Engine, Settings: cfg, Shutdown: a.shutdown, AbortShutdown: a.abortShutdown, Version: Version, RunID: a.runID,
		Exit: a.exitNow, Crash: a.crash, Logf: a.logger.Noticef})
	if err := a.Sessions.LoadUsers(); err != nil {
		return nil, err
	}
	a.scripts = a.newScripts()
	a.certs, a.oom, a.title = certs.New(cfg), newOOMScore(cfg), newProcTitle(cfg)
	if err := a.certs.Load(); err != nil {
		return nil, fmt.Errorf("Failed to configure TLS. Check logs for more info: %w", err) //nolint:staticcheck // Redis' text
	}
	a.node = link.New(link.Options{Engine: a.Engine, Settings: cfg, Log: a.linkLog, Port: a.port, TLS: a.certs.Client, OnMaster: a.Sessions.OpenMaster, OnRole: a.roleChanged,
		MemoryLimit: a.memoryLimit(), Managed: a.managedLinks()})
	a.Sessions.CountReplication(a.node.Net)
	a.migrations = migrate.New(a.Engine)
	a.Sessions.CountMigrations(a.migrations.Sockets)
	a.saver = a.newSaver()
	a.Engine.RegisterInfo("server", a.ending.info)
	a.facts.gather = a.gatherFacts
	a.Sessions.SetKeeper(a.saver)
	err := a.renameCommands()
	if err != nil {
		return nil, err
	}
	if a.relay, err = a.newRelay(); err != nil {
		return nil, err
	}
	t, err := transport.New(transport.Options{Engine: a.Engine, Sessions: a.Sessions, Relay: a.relay, TLS: a.certs.Server, Loops: loops(cfg), Logf: a.logger.Noticef, Verbosef: a.logger.Verbosef})
	if err != nil {
		return nil, err
	}
	a.transport = t
	cfg.OnChange(func() error { a.logger.SetLevel(cfg.Enum(settings.LogLevel)); return nil }, "loglevel")
	cfg.OnChange(a.changeCerts, certs.Names...)
	cfg.OnChange(a.changePort, "port")
	cfg.OnChange(a.changeTLSPort, "tls-port")
	cfg.OnChange(a.changeBind, "bind")
	cfg.OnChange(a.changeOOMScore, "oom-score-adj", "oom-score-adj-values")
	cfg.OnChange(func() error { a.title.show(); return nil }, "proc-title-template")
	return a, nil
}

// loops is the number of event loops: io-threads when it was given, else 0, for what fits the machine.
func loops(cfg *settings.Settings) int {
	if !cfg.Given("io-threads") {
		return 0
	}
	return int(cfg.Int(settings.IOThreads))
}

func (a *App) renameCommands() error {
	for _, r := range a.Settings.Renames() {
		if err := a.table.Rename(r.From, r.To); err != nil {
			return fmt.Errorf("rename-command %s %q: %w", r.From, r.To, err)
		}
	}
	return nil
}

// Start loads the data set, listens and serves. It returns when clients can connect.
func (a *App) Start() error {
	a.Engine.Start()
	a.title.show()
	_ = a.changeOOMScore() // logged; not to be able to is no reason not to serve
	if err := errors.Join(a.listen(), a.listenHTTP()); err != nil {
		a.Close()
		return err
	}
	if err := a.bring(); err != nil {
		a.Close()
		return err
	}
	a.work.Add(1)
	go a.sample()
	a.logger.Noticef("Ready to accept connections")
	return nil
}

func (a *App) listen() error {
	cfg := a.Settings
	backlog := int(cfg.Int(settings.TCPBacklog))
	secure := cfg.Int(settings.TLSPort)
	if port := cfg.Int(settings.Port); port != 0 || (cfg.String(settings.UnixSocket) == "" && secure == 0) {
		if _, err := a.listenTCP(uint16(port)); err != nil {
			return err
		}
	}
	if secure != 0 {
		if _, err := a.listenTLS(uint16(secure)); err != nil {
			return err
		}
	}
	if err := a.listenPrimary(); err != nil {
		return err
	}
	if path := cfg.String(settings.UnixSocket); path != "" {
		return a.transport.ListenUnix(path, uint32(cfg.Int(settings.UnixSocketPerm)), backlog)
	}
	return nil
}

// port is a kind of listening socket.
type portKind struct {
	name   string // in log lines
	addr   func() []netip.AddrPort
	listen func(addr netip.AddrPort, backlog int) (netip.AddrPort, error)
	stop   func(keep map[netip.AddrPort]bool)
}

func (a *App) listenTCP(port uint16) (at map[netip.AddrPort]bool, err error) {
	return a.listenOn(portKind{"TCP", a.transport.Addr, a.transport.ListenTCP, a.transport.StopTCP}, port)
}

func (a *App) listenTLS(port uint16) (at map[netip.AddrPort]bool, err error) {
	return a.listenOn(portKind{"TLS", a.transport.AddrTLS, a.transport.ListenTLS, a.transport.StopTLS}, port)
}

// listenOn listens on every address of the directive bind, or on none.
func (a *App) listenOn(k portKind, port uint16) (at map[netip.AddrPort]bool, err error) {
	at = map[netip.AddrPort]bool{}
	old := map[netip.AddrPort]bool{}
	for _, addr := range k.addr() {
		old[addr] = true
	}
	defer func() {
		if err != nil {
			k.stop(old)
		}
	}()
	for _, name := range a.Settings.Bind() {
		addr, optional, err := bindAddr(name, port)
		if err == nil {
			addr, err = k.listen(addr, int(a.Settings.Int(settings.TCPBacklog)))
		}
		switch {
		case err == nil:
			at[addr] = true
		case optional:
			a.logger.Verbosef("Could not listen: %v", err)
		default:
			a.logger.Warningf("Warning: Could not create server TCP listening socket %s:%d: %s", name, port, bindError(err))
			return nil, k.failed(port)
		}
	}
	if len(at) == 0 && len(a.Settings.Bind()) > 0 {
		return nil, k.failed(port)
	}
	return at, nil
}

// failed is in Redis' words, which its test suite looks for, to take another port.
func (k portKind) failed(port uint16) error {
	return fmt.Errorf("Failed listening on port %d (%s), aborting.", port, k.name) //nolint:staticcheck // Redis' text
}

// bindError words an error of bind as the C library and Redis do.
func bindError(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := no.Error()
	return "bind: " + strings.ToUpper(text[:1]) + text[1:]
}

// changePort is CONFIG SET port: the new sockets come first, so that a port that is taken changes nothing.
func (a *App) changePort() error {
	var at map[netip.AddrPort]bool
	if port := a.Settings.Int(settings.Port); port != 0 {
		var err error
		if at, err = a.listenTCP(uint16(port)); err != nil {
			a.logger.Warningf("%v", err)
			return errors.New("Unable to listen on this port. Check server logs.") //nolint:staticcheck // Redis' text
		}
	}
	a.transport.StopTCP(at)
	return nil
}

// changeTLSPort is CONFIG SET tls-port.
func (a *App) changeTLSPort() error {
	var at map[netip.AddrPort]bool
	if port := a.Settings.Int(settings.TLSPort); port != 0 {
		var err error
		if at, err = a.listenTLS(uint16(port)); err != nil {
			a.logger.Warningf("%v", err)
			return errors.New("Unable to listen on this port. Check server logs.") //nolint:staticcheck // Redis' text
		}
	}
	a.transport.StopTLS(at)
	return nil
}

// changeCerts is CONFIG SET tls-*: connections that are there keep what they agreed on.
func (a *App) changeCerts() error {
	if err := a.certs.Load(); err != nil {
		a.logger.Warningf("TLS: %v", err)
		return errors.New("Unable to update TLS configuration. Check server logs.") //nolint:staticcheck // Redis' text
	}
	return nil
}

// changeBind is CONFIG SET bind. An address may lie within an old one, so the old sockets go first; when it fails the
// settings call it again with the old addresses.
func (a *App) changeBind() error {
	a.transport.StopTCP(nil)
	a.transport.StopTLS(nil)
	var err error
	if port := a.Settings.Int(settings.Port); port != 0 {
		_, err = a.listenTCP(uint16(port))
	}
	if port := a.Settings.Int(settings.TLSPort); port != 0 && err == nil {
		_, err = a.listenTLS(uint16(port))
	}
	if err != nil {
		a.logger.Warningf("%v", err)
		return errors.New("Failed to bind to specified addresses.") //nolint:staticcheck // Redis' text
	}
	return nil
}

// bindAddr reads a word of the directive bind; a leading dash makes the address optional.
func bindAddr(name string, port uint16) (addr netip.AddrPort, optional bool, err error) {
	if name != "" && name[0] == '-' {
		optional, name = true, name[1:]
	}
	switch name {
	case "*":
		return netip.AddrPortFrom(netip.IPv4Unspecified(), port), optional, nil
	case "::*":
		return netip.AddrPortFrom(netip.IPv6Unspecified(), port), true, nil
	}
	ip, err := resolve(name)
	return netip.AddrPortFrom(ip, port), optional, err
}

// Addr is an address that clients can dial, ports chosen by the system included.
func (a *App) Addr() netip.AddrPort {
	list := a.transport.Addr()
	for _, addr := range list {
		if addr.Addr().Is4() {
			return addr
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return netip.AddrPort{}
}

// sample feeds the rates of INFO and minds the collector.
func (a *App) sample() {
	defer a.work.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	heap := newCollector()
	for {
		select {
		case <-a.done:
			return
		case now := <-tick.C:
			a.Sessions.Sample()
			heap.look(now)
		}
	}
}

// Wait returns when the server is to end: after SHUTDOWN, or a signal that Signal was told of.
func (a *App) Wait() error { return <-a.end }

// Close ends all connections and everything that runs.
func (a *App) Close() {
	a.once.Do(func() {
		close(a.done)
		if a.probes != nil {
			_ = a.probes.Close()
		}
		a.closeManaged()
		if a.relay != nil {
			a.relay.Close()
		}
		a.transport.Close()
		a.migrations.Close()
		a.saver.Close()
		a.node.Close()
		a.Engine.Close()
		a.work.Wait()
		if path := a.Settings.String(settings.PidFile); path != "" {
			os.Remove(path)
		}
	})
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

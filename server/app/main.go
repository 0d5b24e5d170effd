package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/supervise"
)

// Main is the server's program: it returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 {
		switch args[0] {
		case "-v", "--version":
			fmt.Fprintf(stdout, "Redis server v=%s sha=00000000:0 malloc=go bits=64 build=0 understudy=%s\n", session.Version, Version)
			return 0
		case "-h", "--help":
			fmt.Fprint(stdout, usage)
			return 0
		}
	}
	if len(args) == 2 && args[0] == "--show" {
		return show(args[1], stdout, stderr)
	}
	cfg := settings.New()
	if err := cfg.Load(settings.ParseArgs(args), stdin); err != nil {
		if !tellFatal(stderr, err) {
			fmt.Fprintf(stderr, "Fatal error, can't open config file: %v\n", err)
		}
		return 1
	}
	if cfg.Bool(settings.Supervise) && !supervise.Supervised() {
		return superviseServer(cfg, args)
	}
	return run(cfg, stdout, stderr)
}

// tellFatal prints an error of the configuration as redis-server does.
func tellFatal(stderr io.Writer, err error) bool {
	var bad *settings.Error
	if !errors.As(err, &bad) {
		return false
	}
	fmt.Fprint(stderr, bad.Fatal(session.Version))
	return true
}

const usage = `Usage: ./server [/path/to/redis.conf] [options] [-]
       ./server - (read config from stdin)
       ./server -v or --version
       ./server -h or --help
       ./server --show FILE (print the commands in an append-only file, or in one of writes set aside, divergent-*.aof)

Examples:
       ./server (run the server with default conf)
       ./server /etc/redis/6379.conf
       ./server --port 7777
       ./server --port 7777 --replicaof 127.0.0.1 8888
       ./server /etc/myredis.conf --loglevel verbose -
`

func run(cfg *settings.Settings, stdout, stderr io.Writer) int {
	if err := os.Chdir(cfg.Dir()); err != nil {
		fmt.Fprintf(stderr, "Can't chdir to '%s': %v\n", cfg.Dir(), err)
		return 1
	}
	a, err := New(cfg, stdout)
	if err != nil {
		if !tellFatal(stderr, err) {
			fmt.Fprintf(stderr, "%v\n", err)
		}
		return 1
	}
	a.banner()
	a.awaitCrash()
	a.loaded = func() { // until then a signal ends a process that has nothing to save
		signals := make(chan os.Signal, 4)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGXFSZ) // a file too big is an error of its write
		go a.obey(signals)
	}
	if err := a.Start(); err != nil {
		a.logger.Warningf("%v", err)
		return 1
	}
	err = a.Wait()
	a.Close()
	if err != nil {
		a.logger.Warningf("%v", err)
		return 1
	}
	a.logger.Warningf("Redis is now ready to exit, bye bye...")
	return 0
}

// banner writes the first lines of the log.
func (a *App) banner() {
	a.logger.Noticef("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
	a.logger.Noticef("Redis version=%s, bits=64, commit=00000000, modified=0, pid=%d, just started; understudy version=%s", session.Version, os.Getpid(), Version)
	if a.Settings.File() == "" {
		a.logger.Warningf("Warning: no config file specified, using the default config. In order to specify a config file use ./server /path/to/redis.conf")
	} else {
		a.logger.Noticef("Configuration loaded")
	}
	a.logger.Noticef("Running mode=standalone, port=%d.", a.Settings.Int(settings.Port))
	if a.Settings.Bool(settings.AlwaysShowLogo) { // no drawing, but the facts beside it: test suites look for the PID
		a.logger.Noticef("Understudy %s, Port: %d, PID: %d", Version, a.Settings.Int(settings.Port), os.Getpid())
	}
}

// obey turns SIGTERM and SIGINT into an orderly end; the second SIGINT ends at once, as in Redis.
func (a *App) obey(signals <-chan os.Signal) {
	var asked atomic.Bool
	for sig := range signals {
		if sig == syscall.SIGUSR1 {
			go profile(a.Settings.Dir(), a.logger.Noticef)
			continue
		}
		if sig == syscall.SIGINT && asked.Load() {
			a.logger.Warningf("You insist... exiting now.")
			a.saver.RemoveTemp()
			os.Exit(1)
		}
		if asked.Swap(true) {
			continue // it is under way
		}
		name, how := "SIGTERM", a.Settings.Enum(settings.ShutdownOnSigterm)
		if sig == syscall.SIGINT {
			name, how = "SIGINT", a.Settings.Enum(settings.ShutdownOnSigint)
		}
		a.logger.Warningf("Received %s scheduling shutdown...", name)
		o := session.ShutdownOptions{Save: how&settings.ShutdownSave != 0, NoSave: how&settings.ShutdownNoSave != 0,
			Now: how&settings.ShutdownNow != 0, Force: how&settings.ShutdownForce != 0}
		go func() { // the next signal is heard while this one is obeyed
			err := a.awaitCron()
			if err == nil {
				err = a.stop(o)
			}
			if err == nil {
				return
			}
			asked.Store(false)
			if !errors.Is(err, errAborted) {
				a.logger.Warningf("%s received but errors trying to shut down the server, check the logs for more information", name)
			}
		}()
	}
}

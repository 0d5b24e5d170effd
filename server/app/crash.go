package app

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
)

// fatal are the signals from outside of which a process dies. A fault of the program's own is a panic, which the Go runtime
// reports on the standard error.
var fatal = []os.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL}

// maxStacks bounds the stacks in a report.
const maxStacks = 1 << 20

// awaitCrash writes a report to the log before such a signal ends the process, between the lines that readers of Redis'
// reports look for.
func (a *App) awaitCrash() {
	if !a.Settings.Bool(settings.CrashLogEnabled) {
		return
	}
	debug.SetTraceback("all")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, fatal...)
	go func() {
		sig, ok := (<-signals).(syscall.Signal)
		if !ok {
			return
		}
		a.reportCrash(sig)
		signal.Reset(fatal...)
		_ = syscall.Kill(os.Getpid(), sig) // as if nobody had caught it
	}()
}

func (a *App) reportCrash(sig syscall.Signal) {
	stacks := make([]byte, maxStacks)
	stacks = stacks[:runtime.Stack(stacks, true)]
	log := a.logger.Warningf
	log("\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===")
	log("Redis %s crashed by signal: %d, si_code: 0", session.Version, int(sig))
	log("understudy %s, %s %s/%s", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	log("\n------ STACK TRACE ------\n%s", strings.TrimRight(string(stacks), "\n"))
	log("\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===")
}

// crash is DEBUG SEGFAULT.
func (a *App) crash() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	select {} // whoever waits for the lock waits for the end
}

// exitNow ends the process in the middle of a script. Nobody may connect to it when its clients see that it has gone.
func (a *App) exitNow() {
	a.transport.StopTCP(nil)
	if path := a.Settings.String(settings.PidFile); path != "" {
		os.Remove(path)
	}
	os.Exit(0)
}

package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/manage"
	"github.com/understudy-db/understudy/server/manage/mtls"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/saving"
	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// The data set's way from the disk, to the disk and out of the process.

func (a *App) newSaver() *saving.Saver {
	return saving.New(saving.Options{FS: disk, Engine: a.Engine, Settings: a.Settings, Version: session.Version, Place: a.node.Place, Syncing: a.node.Syncing,
		Aux: a.historyAux, Log: func(level int64, text string) { a.logger.logf(level, "%s", text) }})
}

func (a *App) linkLog(level repl.Level, text string) { a.logger.logf(linkLevels[level], "%s", text) }

var linkLevels = map[repl.Level]int64{repl.Debug: settings.LogDebug, repl.Verbose: settings.LogVerbose,
	repl.Notice: settings.LogNotice, repl.Warning: settings.LogWarning}

// port is what clients and replicas dial, and a replica announces: tls-port where its links use TLS.
func (a *App) port() int {
	if secure := a.Settings.Int(settings.TLSPort); secure != 0 && (a.Settings.Bool(settings.TLSReplication) || len(a.transport.Addr()) == 0) {
		return int(secure)
	}
	return int(a.Addr().Port())
}

// bring loads the data set and begins to serve. A standalone server answers -LOADING meanwhile; a managed one lets
// nobody in before it is parked (S3).
func (a *App) bring() error {
	a.Engine.SetState(engine.Loading, 0)
	if a.member == nil {
		a.transport.Start()
	}
	_, follows := a.Settings.ReplicaOf()
	loaded, err := a.saver.Load(context.Background(), follows || a.member != nil)
	if err != nil {
		return err
	}
	a.node.Booted(link.Boot{Loaded: loaded.Found, Meta: loaded.Meta, Tail: loaded.Tail, Placed: a.saver.Placed})
	var id *mtls.Identity
	if a.member != nil {
		if id, err = a.prepareManaged(loaded); err != nil {
			return err
		}
	}
	a.saver.Start()
	if a.loaded != nil {
		a.loaded()
	}
	a.Engine.SetState(0, engine.Loading)
	if a.member != nil {
		if err := a.startManaged(id); err != nil {
			return err
		}
		a.transport.Start()
	}
	return nil
}

// readPassword takes requirepass and masterauth from the mounted file.
func (a *App) readPassword() error {
	path := a.Settings.String(settings.PasswordFile)
	if path == "" {
		return nil
	}
	a.password = &manage.PasswordFile{Path: path, CertDir: a.Settings.String(settings.ManagementCertDir)}
	text, _, err := a.password.Read()
	if err != nil {
		return fmt.Errorf("password-file: %w", err)
	}
	return a.Settings.Set(settings.SetContext{}, settings.Pair{Name: "requirepass", Value: text}, settings.Pair{Name: "masterauth", Value: text})
}

// shutdown is the command SHUTDOWN; the process ends in Wait. It holds a lock of the engine.
func (a *App) shutdown(o session.ShutdownOptions) (stop func() error) {
	a.logger.Warningf("User requested shutdown...")
	return a.beginStop(o)
}

// stop prepares the end. An error keeps the server running.
func (a *App) stop(o session.ShutdownOptions) error { return a.beginStop(o)() }

// beginStop says that the end has begun, so that it can be aborted from now on. What it returns waits, and prepares it: a master of a
// set is relieved first, then what the options or the save points ask for is saved.
func (a *App) beginStop(o session.ShutdownOptions) (stop func() error) {
	if o.Now {
		return func() error { return a.saveAndEnd(o) }
	}
	limit := time.Duration(a.Settings.Int(settings.ShutdownTimeout)) * time.Second
	ctx, done := a.ending.begin(limit)
	return func() error {
		a.takeLeave(ctx, limit)
		aborted := ctx.Err() != nil
		done()
		if aborted {
			return a.stay()
		}
		return a.saveAndEnd(o)
	}
}

func (a *App) saveAndEnd(o session.ShutdownOptions) error {
	half := a.Engine.Is(engine.Loading) // what is in memory must not replace the file, as in Redis
	image := o.Save || (!o.NoSave && len(a.Settings.SavePoints()) > 0)
	if !half && (image || a.Settings.Bool(settings.AppendOnly)) {
		if err := a.saveLast(func() error { return a.lastCopies(o.Force, image) }); err != nil {
			a.logger.Warningf("Error trying to save the DB, can't exit: %v", err)
			if !o.Force {
				a.logger.Warningf("Errors trying to shut down the server. Check the logs for more information.")
				a.Engine.Unpause()
				return err
			}
		}
	}
	select {
	case a.end <- nil:
	default:
	}
	return nil
}

// lastCopies makes what the disk is to hold durable. A member whose file does not hold its data set yet waits for that; a
// server that nobody manages refuses to end, as in Redis.
func (a *App) lastCopies(force, image bool) error {
	if a.Settings.Bool(settings.AppendOnly) {
		if a.member != nil && !force {
			ctx, done := context.WithTimeout(context.Background(), time.Duration(a.Settings.Int(settings.ShutdownTimeout))*time.Second)
			defer done()
			if err := a.saver.MakeDurable(ctx); err != nil {
				return err
			}
		}
		if err := a.saver.Leave(force); err != nil {
			return err
		}
	}
	if !image {
		return nil
	}
	a.logger.Noticef("Saving the final RDB snapshot before exiting.")
	return a.saver.SaveNow(context.Background())
}

// ending is what SHUTDOWN ABORT needs of the ends that are under way.
type ending struct {
	mu      sync.Mutex
	cancels map[int]context.CancelFunc
	next    int
	until   time.Time // when the latest of them has waited long enough
}

func (e *ending) begin(limit time.Duration) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until = time.Now().Add(limit)
	if e.cancels == nil {
		e.cancels = map[int]context.CancelFunc{}
	}
	n := e.next
	e.next++
	e.cancels[n] = cancel
	return ctx, func() {
		cancel()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.cancels, n)
	}
}

// info tells in INFO's section server that an end is under way.
func (e *ending) info(w *engine.InfoWriter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cancels) > 0 {
		w.Field("shutdown_in_milliseconds", max(time.Until(e.until).Milliseconds(), 0))
	}
}

// awaitCron holds the end that a signal asks for back while DEBUG PAUSE-CRON has stopped what time brings.
func (a *App) awaitCron() error {
	ctx, done := a.ending.begin(0)
	defer done()
	for a.Sessions.CronPaused() {
		select {
		case <-ctx.Done():
			return a.stay()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// abortShutdown is SHUTDOWN ABORT: it calls off the waiting for others, not the save that ends it. The engine's lock may
// be held.
func (a *App) abortShutdown() bool {
	a.ending.mu.Lock()
	defer a.ending.mu.Unlock()
	for _, cancel := range a.ending.cancels {
		cancel()
	}
	return len(a.ending.cancels) > 0
}

var errAborted = errors.New("the shutdown was aborted")

func (a *App) stay() error {
	a.logger.Warningf("Shutdown manually aborted.")
	a.Engine.Unpause()
	return errAborted
}

// takeLeave lets others take over what this server has: a member is relieved of its role, and the replicas get the end of
// the stream.
func (a *App) takeLeave(ctx context.Context, limit time.Duration) {
	if a.member != nil {
		a.handOver(limit)
	}
	if behind := a.node.Drain(ctx, limit); behind > 0 && ctx.Err() == nil {
		a.logger.Warningf("%d replicas are behind after %v; ending without waiting longer", behind, limit)
	}
}

// historyField is the file's auxiliary field that holds a member's lineage; other readers skip it.
const historyField = "understudy-history"

func (a *App) historyAux() []snapshot.Aux {
	if a.member == nil || a.member.driver == nil {
		return nil
	}
	return []snapshot.Aux{{Name: historyField, Value: encodeHistory(a.member.driver.History())}}
}

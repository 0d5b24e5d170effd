package saving

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// loadState is what INFO tells about a load.
type loadState struct {
	began         time.Time
	total         int64
	keys, expired int // of the last load
}

// Loaded tells what was found at start.
type Loaded struct {
	Found bool // there was a file, even an empty one
	// Durable: everything that this server has ever acknowledged is in what was loaded, however it ended.
	Durable bool
	snapshot.Meta
	// Tail is the end of the stream as far as the file has its bytes, nil when it has none.
	Tail *oplog.Tail
}

// Load reads the file at start. Clients may be connected when the caller has set engine.Loading, which it
// clears once the data has its place in a history, too. keepExpired is true for a
// server that will follow a master, whose DELs it waits for. An error means that the file is there and
// cannot be used: the server must not start with an empty data set in its place (S2). The lock must not
// be held.
func (s *Saver) Load(ctx context.Context, keepExpired bool) (Loaded, error) {
	sweep(s.fs, s.cfg.Dir(), leftBehind)
	if !s.cfg.Bool(settings.AppendOnly) {
		return s.loadImage(ctx, keepExpired)
	}
	loaded, found, err := s.loadAppended(ctx)
	if err == nil && !found {
		// redis-server starts empty here, and the image that lies there is soon overwritten: a file that was switched on by a
		// restart would cost the data set.
		loaded, err = s.loadImage(ctx, keepExpired)
	}
	if err == nil {
		err = s.aof.ready(loaded.Meta)
	}
	return loaded, err
}

// loadImage loads the RDB.
func (s *Saver) loadImage(ctx context.Context, keepExpired bool) (Loaded, error) {
	path := s.Path()
	size, err := s.fs.Size(path)
	if fsys.IsNotExist(err) {
		return Loaded{}, nil
	}
	if err != nil {
		return Loaded{}, err
	}
	s.e.Exclusive(func() {
		s.load = loadState{began: s.now(), total: size}
		s.bytesLoaded.Store(0)
	})
	meta, err := s.loadFile(ctx, path, !keepExpired, s.e.Exclusive)
	if err != nil {
		s.logf(settings.LogWarning, "Internal error in RDB reading: %v", err)
		s.logf(settings.LogWarning, "Terminating server after rdb file reading failure.")
		return Loaded{}, fmt.Errorf("Fatal error loading the DB: %s: %w. Exiting", path, err) //nolint:staticcheck // Redis' text
	}
	s.e.Exclusive(func() {
		err = s.e.LoadLibraries(meta.Libraries, engine.Instead)
		s.e.Saved(s.e.Changes())
		s.load.keys, s.load.expired = meta.Keys, meta.Expired
		s.left = meta.Aux[leftField]
		s.durable.Store(true)
	})
	if err != nil {
		return Loaded{}, fmt.Errorf("Fatal error loading the DB: %s: function library: %w. Exiting", path, err) //nolint:staticcheck // Redis' text
	}
	empty := ""
	if meta.Empty > 0 {
		empty = fmt.Sprintf(", empty keys skipped: %d", meta.Empty)
	}
	s.warnOf(meta)
	s.logf(settings.LogNotice, "Done loading RDB, keys loaded: %d, keys expired: %d%s.", meta.Keys, meta.Expired, empty)
	s.logf(settings.LogNotice, "DB loaded from disk: %.3f seconds", s.now().Sub(s.load.began).Seconds())
	return Loaded{Found: true, Meta: meta}, nil
}

// warnOf logs what the loaded file had that this server does not keep.
func (s *Saver) warnOf(meta snapshot.Meta) {
	if text := meta.Timed.Warning(); text != "" {
		s.logf(settings.LogWarning, "%s", text)
	}
}

// loadFile reads a file into the store. locked is nil when the caller holds the lock.
func (s *Saver) loadFile(ctx context.Context, path string, dropExpired bool, locked func(func())) (snapshot.Meta, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return snapshot.Meta{}, err
	}
	defer f.Close()
	meta, _, err := snapshot.Load(contextReader{ctx, f}, s.e.Store(), snapshot.LoadOptions{
		Now: s.now().UnixMilli(), DropExpired: dropExpired, NoChecksum: !s.cfg.Bool(settings.RDBChecksum), Locked: locked,
		KeyDelay: func() time.Duration { return time.Duration(s.cfg.Int(settings.KeyLoadDelay)) * time.Microsecond },
		EmptyKey: func(key []byte) { s.logf(settings.LogNotice, "rdbLoadObject skipping empty key: %s", key) },
		Progress: func(bytes int64, _ int) { s.bytesLoaded.Store(bytes) },
	})
	return meta, err
}

// Reload is DEBUG RELOAD: save, empty, load, all at once. A save under way gives way to it. The lock is
// held.
func (s *Saver) Reload(noSave, noFlush, merge bool) error {
	how := engine.Instead
	switch {
	case noFlush && merge:
		how = engine.Over
	case noFlush:
		how = engine.Beside
	}
	if !noSave {
		if err := s.saveHeld(); err != nil {
			return err
		}
	}
	if !noFlush {
		s.e.Store().FlushAll()
	}
	s.load.began = s.now()
	// A key that has expired is left out only where nobody hears of it: replicas wait for its deletion.
	meta, err := s.loadFile(context.Background(), s.Path(), !s.e.Is(engine.Replica) && s.e.Log.Wanted() == 0, nil)
	s.load.keys, s.load.expired = meta.Keys, meta.Expired
	if err == nil {
		err = s.e.LoadLibraries(meta.Libraries, how)
	}
	return err
}

// saveHeld saves while the lock is held all the time.
func (s *Saver) saveHeld() error {
	if s.running != nil {
		s.running.stale.Store(true)
		s.running.snap.Cancel()
	}
	s.renaming.Lock()
	defer s.renaming.Unlock()
	t := newTarget(s.fs, s.Path(), false, false)
	if err := snapshot.Save(s.e.Store(), t, s.snapshotOptions()); err != nil {
		t.discard()
		return err
	}
	if err := t.commit(); err != nil {
		return err
	}
	s.saves++
	s.durable.Store(true)
	s.lastSave = s.now()
	s.e.Saved(s.e.Changes())
	return nil
}

// contextReader ends a load when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

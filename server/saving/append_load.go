package saving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// upgrade takes an append-only file of Redis before 7, which is one file in dir, into the directory: it becomes the base.
func (a *appender) upgrade(d *aof.Dir, m *aof.Manifest) (*aof.Manifest, error) {
	old := filepath.Join(a.s.cfg.Dir(), d.File)
	if _, err := a.s.fs.Size(old); err != nil {
		if fsys.IsNotExist(err) {
			return m, nil
		}
		return nil, err
	}
	begun := m != nil && len(m.Increments) == 0 && m.Base != nil && m.Base.Name == d.File
	if begun {
		_, err := a.s.fs.Size(d.Part(d.File))
		begun = fsys.IsNotExist(err)
	}
	if m != nil && !m.Empty() && !begun {
		return m, nil
	}
	if err := a.s.fs.MkdirAll(d.Path); err != nil {
		return nil, err
	}
	m = &aof.Manifest{Base: &aof.Part{Name: d.File, Seq: 1, Type: aof.Base}}
	if err := d.Store(m); err != nil {
		return nil, err
	}
	if err := a.s.fs.Rename(old, d.Part(d.File)); err != nil {
		return nil, fmt.Errorf("move the old AOF into %s: %w", d.Path, err)
	}
	if err := errors.Join(a.s.fs.SyncDir(d.Path), a.s.fs.SyncDir(a.s.cfg.Dir())); err != nil {
		return nil, err
	}
	a.s.logf(settings.LogNotice, "Successfully migrated an old-style AOF configuration (%s) into the AOF directory (%s).", d.File, filepath.Base(d.Path))
	return m, nil
}

// loadAppended loads the append-only file; found is false when there is none.
func (s *Saver) loadAppended(ctx context.Context) (loaded Loaded, found bool, err error) {
	a := s.aof
	a.files.Lock()
	defer a.files.Unlock()
	d := a.dir()
	m, err := d.Load()
	if err == nil {
		m, err = a.upgrade(d, m)
	}
	if err != nil {
		return Loaded{}, false, a.fatal(err)
	}
	a.files.m = m
	if m == nil || m.Empty() {
		return Loaded{}, false, nil
	}
	if a.outdated(m) {
		a.outdone = true
		s.logf(settings.LogWarning, "The append-only file in %s was left behind by appendonly no, and %s has what was written since: that is loaded instead, and the file is made anew of it", d.Path, s.Path())
		return Loaded{}, false, nil
	}
	s.e.Exclusive(func() {
		s.load = loadState{began: s.now(), total: a.total(m)}
		s.bytesLoaded.Store(0)
	})
	l := &partsLoader{a: a, ctx: ctx, d: d, repair: true, locked: s.e.Exclusive, applier: s.e.NewApplier("append-only file")}
	defer l.applier.Close()
	l.tail = oplog.NewTail(s.cfg.Int(settings.ReplBacklogSize))
	meta, err := l.load(m)
	if err != nil {
		return Loaded{}, true, err
	}
	s.e.Exclusive(func() {
		s.e.Saved(s.e.Changes())
		s.load.keys, s.load.expired = meta.Keys, meta.Expired
	})
	s.logf(settings.LogNotice, "DB loaded from append only file: %.3f seconds", s.now().Sub(s.load.began).Seconds())
	return Loaded{Found: true, Meta: meta, Durable: a.recallVow(), Tail: l.tail}, true, nil
}

func (a *appender) fatal(err error) error {
	var bad *aof.ManifestError
	if errors.As(err, &bad) {
		a.s.logf(settings.LogWarning, "\n*** FATAL AOF MANIFEST FILE ERROR ***")
		if bad.Line > 0 {
			a.s.logf(settings.LogWarning, "Reading the manifest file, at line %d", bad.Line)
			a.s.logf(settings.LogWarning, ">>> '%s'", bad.Text)
		}
		return errors.New(bad.Why)
	}
	return err
}

// ReloadAppendOnly is DEBUG LOADAOF: empty the store and load the files into it, all at once. The lock is held.
func (s *Saver) ReloadAppendOnly(ctx *command.Ctx) error {
	a := s.aof
	if a.is(appendOn) {
		a.mu.Lock()
		err := a.bring()
		a.mu.Unlock()
		if err != nil {
			return err
		}
	}
	d := a.dir()
	m, err := d.Load()
	if err != nil {
		return a.fatal(err)
	}
	s.e.Store().FlushAll()
	if err := s.e.LoadLibraries(nil, engine.Instead); err != nil {
		return err
	}
	if m != nil {
		s.e.SetState(engine.Loading, 0)
		defer s.e.SetState(0, engine.Loading)
		l := &partsLoader{a: a, ctx: context.Background(), d: d, applier: s.e.NewApplierIn(ctx, "append-only file")}
		defer l.applier.CloseHeld()
		if _, err := l.load(m); err != nil {
			return err
		}
	}
	s.e.Saved(s.e.Changes())
	return nil
}

// partsLoader loads the parts of a manifest.
type partsLoader struct {
	a       *appender
	ctx     context.Context
	d       *aof.Dir
	repair  bool         // a torn end may be cut off the last part
	locked  func(func()) // nil: the caller holds the lock
	meta    snapshot.Meta
	place   aof.Place
	applier *engine.Applier
	read    int64       // bytes of the parts before
	tail    *oplog.Tail // of the stream; nil: nobody asks
}

// stretch takes what a part says of the stream into the tail.
func (l *partsLoader) stretch(s aof.Stretch) {
	switch {
	case s.Counts:
		l.tail.Add(s.Place.ID, s.Place.Offset, s.Data)
	case s.Place.ID == "":
		l.tail.Lose()
	default:
		l.tail.Own()
	}
}

func (l *partsLoader) load(m *aof.Manifest) (snapshot.Meta, error) {
	l.meta = snapshot.Meta{ReplOffset: -1, StreamDB: -1, Aux: map[string]string{}}
	parts := m.Parts()
	for i, p := range parts {
		began := time.Now()
		size, err := l.part(p, l.empty(parts[i+1:]))
		if err != nil {
			return l.meta, err
		}
		kind := "incr"
		if p.Type == aof.Base {
			kind = "base"
			if l.tail != nil && l.place.ID != "" {
				l.recallBacklog()
			}
		}
		if size > 0 {
			l.a.s.logf(settings.LogNotice, "DB loaded from %s file %s: %.3f seconds", kind, p.Name, time.Since(began).Seconds())
		}
	}
	l.meta.ReplID, l.meta.ReplOffset = l.place.ID, l.place.Offset
	if l.place.ID == "" {
		l.meta.ReplOffset = -1
	} else {
		l.meta.StreamDB = l.applier.DB()
	}
	st := l.a.s.e.Store()
	l.meta.Keys = 0
	for i := range st.Databases() {
		l.meta.Keys += st.DB(i).Len()
	}
	return l.meta, nil
}

// empty tells whether there is nothing in the parts. One that is torn and has only such behind it is the last one: an increment
// is named before a rewrite begins, and gets nothing before all of the last one is on disk. redis-server refuses to start then.
func (l *partsLoader) empty(parts []aof.Part) bool {
	return !slices.ContainsFunc(parts, func(p aof.Part) bool {
		size, err := l.a.s.fs.Size(l.d.Part(p.Name))
		return size > 0 || err != nil
	})
}

// part loads one file, an RDB, commands, or the first and then the second.
func (l *partsLoader) part(p aof.Part, last bool) (size int64, err error) {
	l.a.resume = aof.Notes{}
	fs, path := l.a.s.fs, l.d.Part(p.Name)
	f, err := fs.Open(path)
	if err != nil {
		return 0, fmt.Errorf("Fatal error: can't open the append log file %s for reading: %s", p.Name, reasonOf(err)) //nolint:staticcheck // Redis' text
	}
	defer f.Close()
	if size, err = fs.Size(path); err != nil {
		return 0, err
	}
	head := make([]byte, 5)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	var in io.Reader = contextReader{l.ctx, f}
	pos := int64(0)
	if bytes.Equal(head[:n], []byte("REDIS")) {
		rest, err := l.rdb(p, in)
		if err != nil {
			return 0, err
		}
		pos = max(0, size-int64(len(rest)))
		if len(rest) == 0 {
			l.read += size
			return size, nil
		}
		in = io.MultiReader(bytes.NewReader(rest), in)
	}
	err = l.commands(p, in, pos, last)
	l.read += size
	return size, err
}

// rdb loads the image that a file begins with; rest was read beyond it.
func (l *partsLoader) rdb(p aof.Part, in io.Reader) (rest []byte, err error) {
	s := l.a.s
	s.logf(settings.LogNotice, "Reading RDB base file on AOF loading...")
	meta, rest, err := snapshot.Load(in, s.e.Store(), snapshot.LoadOptions{
		Now: s.now().UnixMilli(), NoChecksum: !s.cfg.Bool(settings.RDBChecksum), Locked: l.locked,
		KeyDelay: func() time.Duration { return time.Duration(s.cfg.Int(settings.KeyLoadDelay)) * time.Microsecond },
		Progress: func(bytes int64, _ int) { s.bytesLoaded.Store(l.read + bytes) },
	})
	if err != nil {
		return nil, fmt.Errorf("Error reading the RDB preamble of the AOF file %s, AOF loading aborted: %w", p.Name, err) //nolint:staticcheck // Redis' text
	}
	s.warnOf(meta)
	l.hold(func() {
		err = s.e.LoadLibraries(meta.Libraries, engine.Instead)
		if meta.StreamDB >= 0 && meta.StreamDB < s.e.Store().Databases() && meta.ReplID != "" {
			l.applier.SelectDB(meta.StreamDB)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("the AOF file %s: function library: %w", p.Name, err)
	}
	l.meta = meta
	l.place = aof.Place{}
	if meta.ReplID != "" && meta.ReplOffset >= 0 {
		l.place = aof.Place{ID: meta.ReplID, Offset: meta.ReplOffset}
	}
	return rest, nil
}

func (l *partsLoader) hold(fn func()) {
	if l.locked == nil {
		fn()
		return
	}
	l.locked(fn)
}

// commands executes the commands of a part.
func (l *partsLoader) commands(p aof.Part, in io.Reader, pos int64, last bool) error {
	s := l.a.s
	r := aof.NewReader(in, pos)
	r.Place = l.place
	if l.tail != nil {
		r.Stretch = l.stretch
	}
	for {
		cmds, err := r.Batch()
		if err != nil {
			l.place, l.a.resume = r.Place, r.Notes()
			maps.Copy(l.meta.Aux, r.Aux())
			return l.ended(p, err, last)
		}
		for _, c := range cmds {
			if s.e.Table.ResolveCanonical(c) == nil {
				return fmt.Errorf("Unknown command '%s' reading the append only file %s, behind byte %d", c[0], p.Name, r.Pos()) //nolint:staticcheck // Redis' text
			}
		}
		report := func(e *engine.StreamError) { s.logf(settings.LogWarning, "%s", e.Error()) }
		if l.locked == nil {
			l.applier.ApplyHeld(cmds, report)
		} else {
			l.applier.Apply(cmds, nil, report)
		}
		s.bytesLoaded.Store(l.read + r.Pos())
	}
}

// ended judges the end of a part's commands.
func (l *partsLoader) ended(p aof.Part, err error, last bool) error {
	s := l.a.s
	var torn *aof.Truncated
	var bad *aof.Damaged
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &torn) && last && s.cfg.Bool(settings.AOFLoadTruncated):
		s.logf(settings.LogWarning, "!!! Warning: short read while loading the AOF file %s!!!", p.Name)
		if l.repair {
			s.logf(settings.LogWarning, "AOF %s loaded anyway because aof-load-truncated is enabled", p.Name)
			s.logf(settings.LogWarning, "Truncating the AOF %s at offset %d", p.Name, torn.Pos)
			return s.fs.Truncate(l.d.Part(p.Name), torn.Pos)
		}
		return nil
	case errors.As(err, &torn):
		s.logf(settings.LogWarning, "The AOF file %s is whole up to byte %d", p.Name, torn.Pos)
		return fmt.Errorf("Unexpected end of file reading the append only file %s. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.", p.Name) //nolint:staticcheck // Redis' text
	case errors.As(err, &bad):
		s.logf(settings.LogWarning, "The AOF file %s is damaged at byte %d: %s", p.Name, bad.Pos, bad.Why)
		return fmt.Errorf("Bad file format reading the append only file %s: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>", p.Name) //nolint:staticcheck // Redis' text
	}
	return fmt.Errorf("Unrecoverable error reading the append only file %s: %w", p.Name, err) //nolint:staticcheck // Redis' text
}

// ready makes what is appended to at start: a base when there is nothing yet, and the last increment. at is the place of
// the data that was loaded from elsewhere. Nobody writes yet.
func (a *appender) ready(at snapshot.Meta) error {
	a.files.Lock()
	defer a.files.Unlock()
	d := a.dir()
	if err := a.s.fs.MkdirAll(d.Path); err != nil {
		return err
	}
	m := a.files.m
	if m == nil {
		m = &aof.Manifest{}
	}
	if m = m.Clone(); m.Empty() || a.outdone {
		base, err := a.firstBase(m, at)
		if err != nil {
			return err
		}
		m.Rewritten(base, 0)
	}
	fresh := len(m.Increments) == 0
	if fresh {
		m.Increments = append(m.Increments, m.NewIncrement(d.File))
		a.s.logf(settings.LogNotice, "Creating AOF incr file %s on server start", m.Increments[0].Name)
	} else {
		a.s.logf(settings.LogNotice, "Opening AOF incr file %s on server start", m.Increments[len(m.Increments)-1].Name)
	}
	inc, err := a.open(m.Increments[len(m.Increments)-1], fresh)
	if err != nil {
		return fmt.Errorf("Can't open the append-only file %s: %s", m.Increments[len(m.Increments)-1].Name, reasonOf(err)) //nolint:staticcheck // Redis' text
	}
	if fresh {
		if err := d.Store(m); err != nil {
			_ = inc.f.Close()
			return err
		}
	}
	if !fresh {
		inc.notes = a.resume
	}
	if err := errors.Join(a.syncParts(m.Increments[:len(m.Increments)-1]), inc.f.Sync()); err != nil {
		_ = inc.f.Close()
		return err
	}
	if !a.always() {
		a.breakVow()
	}
	a.files.m = m
	a.inc = inc
	size := a.total(m)
	a.size.Store(size)
	a.baseSize.Store(size)
	a.collectHeld()
	return nil
}

// syncParts makes increments that were loaded durable, and that a torn one was cut: all that may be in the system's memory only, and
// what is appended behind them must not outlive it.
func (a *appender) syncParts(parts []aof.Part) error {
	for _, p := range parts {
		f, err := a.s.fs.OpenAppend(a.dir().Part(p.Name))
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// firstBase writes the data set as it is.
func (a *appender) firstBase(m *aof.Manifest, at snapshot.Meta) (aof.Part, error) {
	s := a.s
	base := m.NewBase(a.dir().File, s.cfg.Bool(settings.AOFUseRDBPreamble))
	s.logf(settings.LogNotice, "Creating AOF base file %s on server start", base.Name)
	sink := &target{fs: s.fs, path: a.dir().Part(base.Name), temp: a.temp()}
	out, done := a.encoder(sink, base)
	o := s.snapshotOptions()
	o.KeyDelay = nil
	o.AtCut = func() []snapshot.Aux {
		list := s.facts(true)
		if at.ReplID != "" {
			list = append(list, placeAux(at)...)
		}
		return list
	}
	var err error
	s.e.Exclusive(func() { err = snapshot.Save(s.e.Store(), out, o) })
	if err = done(err); err != nil {
		sink.discard()
		return base, err
	}
	return base, sink.commit()
}

// Placed begins to append: what was loaded has got its place in a history, and nothing has been written since. The lock is
// held.
func (s *Saver) Placed() {
	a := s.aof
	s.started.Store(true)
	if !s.cfg.Bool(settings.AppendOnly) {
		return
	}
	a.state.Store(int32(appendOn))
	a.attachLocked(a.inc)
	a.noteAux()
	a.selectDB()
	a.hook()
}

// NapBeforeAppend makes every write to the append-only file sleep first: tests look at what leaves meanwhile.
func (s *Saver) NapBeforeAppend(d time.Duration) { s.aof.flushNap.Store(d.Microseconds()) }

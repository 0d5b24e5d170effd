package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/repl"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/store"
)

// receive is one full sync on its way in: the payload goes to a file or straight to the loader, which fills a store that
// nobody sees yet.
type receive struct {
	u      *upstream
	full   repl.BeginFull
	ctx    context.Context
	cancel context.CancelFunc
	file   *os.File       // to disk
	pipe   *io.PipeWriter // to the loader
	size   int64
	failed error
}

type loadResult struct {
	r    *receive
	into *store.Store
	meta snapshot.Meta
	err  error
}

var errAborted = errors.New("full sync was aborted")

func (u *upstream) beginFull(full repl.BeginFull) {
	r := &receive{u: u, full: full}
	r.ctx, r.cancel = context.WithCancel(u.ctx)
	u.receive = r
	u.size.Store(full.Size)
	if u.toParser {
		in, out := io.Pipe()
		r.pipe = out
		u.n.work.Go(func() { r.load(in, func(err error) { in.CloseWithError(err) }) })
		return
	}
	r.file, r.failed = os.CreateTemp(u.n.s.Dir(), "temp-repl-*.rdb")
}

func (r *receive) write(p []byte) {
	r.size += int64(len(p))
	if r.failed != nil {
		return
	}
	if r.pipe != nil {
		_, r.failed = r.pipe.Write(p)
	} else {
		_, r.failed = r.file.Write(p)
	}
}

// end is the end of the payload.
func (r *receive) end() {
	switch {
	case r.pipe != nil:
		r.pipe.Close() // the loader tells how it went, also when it has given up before
	case r.failed != nil:
		r.u.n.work.Go(func() { r.u.deliver(loadResult{r: r, err: r.failed}) })
	default:
		r.u.n.work.Go(r.loadFile)
	}
}

func (r *receive) loadFile() {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		r.u.deliver(loadResult{r: r, err: err})
		return
	}
	r.load(bufio.NewReaderSize(r.file, 1<<20), func(error) {})
}

// load fills a sibling of the store. It runs in a goroutine of its own and needs no lock.
func (r *receive) load(in io.Reader, closeIn func(error)) {
	u := r.u
	size := r.full.Size
	if size < 0 && r.file != nil {
		size = r.size
	}
	room := u.newRoom(size, r.pipe != nil)
	into := room.into
	snapshot.Background() // no lock that clients wait for is taken from here on
	u.n.logf(repl.Notice, "MASTER <-> REPLICA sync: Loading DB in memory")
	if r.file != nil || u.n.s.Enum(settings.ReplDisklessLoad) == settings.DisklessLoadSwapDB {
		u.n.e.SetState(engine.AsyncLoading, 0)
	} // else the payload is still on its way, and a server that waits for one is not loading: REPLICAOF calls it off
	meta, _, err := snapshot.Load(in, into, snapshot.LoadOptions{Now: time.Now().UnixMilli(), NoChecksum: !u.n.s.Bool(settings.RDBChecksum), Background: true,
		Progress: func(int64, int) {
			if !room.check() {
				closeIn(errTight)
			}
		},
		KeyDelay: func() time.Duration {
			if r.ctx.Err() != nil {
				return 0 // nobody waits for it any more
			}
			return time.Duration(u.n.s.Int(settings.KeyLoadDelay)) * time.Microsecond
		}})
	if room.tight {
		err = errTight
		u.tight.Store(true)
	}
	if err == nil && r.pipe != nil {
		_, err = io.Copy(io.Discard, in) // up to the end of the payload
	}
	u.n.e.SetState(0, engine.AsyncLoading|engine.Loading)
	if err != nil {
		u.n.logf(repl.Warning, "Internal error in RDB reading: "+err.Error())
	} else if text := meta.Timed.Warning(); text != "" {
		u.n.logf(repl.Warning, text)
	}
	closeIn(err)
	u.deliver(loadResult{r: r, into: into, meta: meta, err: err})
}

// deliver hands the result to the upstream's goroutine, or gets rid of it when nobody waits any more. Its memory is none that
// the collector knows: it must not be left in the channel.
func (u *upstream) deliver(res loadResult) {
	select {
	case u.loaded <- res:
	case <-u.done:
		dispose(res.into)
		return
	}
	select {
	case <-u.done: // perhaps it has looked for the last time before
		u.disposeLoaded()
	default:
	}
}

// disposeLoaded gets rid of what was delivered and not taken. The upstream's goroutine has ended.
func (u *upstream) disposeLoaded() {
	select {
	case res := <-u.loaded:
		dispose(res.into)
	default:
	}
}

func dispose(s *store.Store) {
	if s == nil {
		return
	}
	s.FlushAll()
	for s.Reclaim(1 << 16) {
	}
}

func (u *upstream) finishLoad(res loadResult) {
	now := u.n.now()
	if res.r != u.receive {
		dispose(res.into)
		return
	}
	if res.err == nil {
		m := u.m.Meeting()
		if why := repl.KeepAgainst(m, int64(res.meta.Keys)); why != "" {
			dispose(res.into)
			u.act(u.m.Keep(now, why))
			return
		}
		if m.Guard && m.Explicit && m.HasData {
			u.n.logf(repl.Notice, "The data set of this replica is replaced: REPLICAOF asked for this master.")
		}
		res.err = u.swap(res)
	}
	if res.err != nil {
		dispose(res.into)
		u.act(u.m.Loaded(now, res.err))
		return
	}
	u.endReceive()
	u.n.loads.Add(1)
	u.act(u.m.Loaded(now, nil))
}

// swap is the one step in which the new data set and its place in the history replace the old ones.
func (u *upstream) swap(res loadResult) (err error) {
	u.n.e.Exclusive(func() {
		if u.gone.Load() {
			err = errAborted
			return
		}
		u.n.mu.Lock()
		defer u.n.mu.Unlock()
		u.n.e.ReplaceData(res.into)
		if err := u.n.e.LoadLibraries(res.meta.Libraries, engine.Instead); err != nil {
			u.n.logf(repl.Warning, fmt.Sprintf("MASTER <-> REPLICA sync: a function library of the master cannot be loaded: %v", err))
		}
		u.n.log.Follow(followID(res.r.full.ID), res.r.full.Offset, nil)
		u.n.noteIDs()
		u.n.dropPeers()
		u.n.bornEmpty, u.n.kept = false, ""
		u.applier.SelectDB(max(res.meta.StreamDB, 0))
		u.n.failover.finish(u.n, u.to)
		if m := u.n.o.Managed; m != nil && m.Joined != nil {
			m.Joined(true)
		}
	})
	u.stream.reset()
	return err
}

// followID names the history of a master that speaks only SYNC: nobody else knows it, so nobody continues it.
func followID(id string) string {
	if id == "" {
		return newID()
	}
	return id
}

func (u *upstream) abortFull() {
	if r := u.receive; r != nil {
		if r.pipe != nil {
			r.pipe.CloseWithError(errAborted)
		}
		u.endReceive()
	}
}

func (u *upstream) endReceive() {
	r := u.receive
	u.receive = nil
	r.cancel()
	if r.file != nil {
		r.file.Close()
		os.Remove(r.file.Name())
	}
}

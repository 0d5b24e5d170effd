package snapshot

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

// LoadOptions of Load.
type LoadOptions struct {
	Now         int64 // unix ms
	DropExpired bool  // leave out keys that have expired (a master at start); a replica waits for its master's DEL
	NoChecksum  bool
	// Locked runs a part of the work with the store locked, for a load into a store that others read. Nil: nobody does.
	Locked func(fn func())
	// KeyDelay is asked before each key for how long to sleep, after Locked returned: key-load-delay, for tests. Nil: never.
	KeyDelay func() time.Duration
	// Progress is told the bytes read and the keys loaded now and then.
	Progress func(bytes int64, keys int)
	// EmptyKey is told each key that is left out because its value has no elements; from several goroutines. Nil: nobody is.
	EmptyKey func(key []byte)
	// Workers is the number of goroutines that load into an empty store; 0 means as many as there are processors.
	Workers int
	// Background makes these goroutines give way to the process's others; the caller sees to its own.
	Background bool
}

// Meta is what a loaded RDB says of itself. Offsets are -1 and StreamDB is -1 when it does not say.
type Meta struct {
	ReplID     string
	ReplOffset int64
	StreamDB   int
	Keys       int // loaded
	Expired    int // left out
	Empty      int // left out: values without elements
	Timed      TimedFields
	Dropped    []DroppedKey
	Version    int
	Aux        map[string]string
	Libraries  []string // sources of function libraries
}

// TimedFields counts the fields of hashes that had a time to live of their own, as Redis 7.4 and later have it. This server has
// none: those whose time had passed were left out, the others stay without it.
type TimedFields struct{ Kept, Expired int }

// Warning is what the log must say of them, "" for nothing.
func (f TimedFields) Warning() string {
	if f == (TimedFields{}) {
		return ""
	}
	return fmt.Sprintf("The RDB has hash fields with a time to live, which this server does not know: %d fields stay without it and will not expire, %d that had expired were left out", f.Kept, f.Expired)
}

// DroppedKey is a key that had expired and was left out.
type DroppedKey struct {
	DB   int
	Name string
}

// batch is the number of entries or fields that one call of Locked stores, and the number of bytes.
const (
	batchItems = 128
	batchBytes = 256 << 10
)

// maxSize bounds what is believed of an announced number of keys.
const maxSize = 1 << 31

// Load reads an RDB into a store, replacing keys of the same name; an empty store is filled in parallel and without
// Locked, which then is called once at the end. On an error what was loaded so far stays: the caller flushes or drops
// the store. rest are bytes that were read behind the end.
func Load(r io.Reader, into *store.Store, o LoadOptions) (meta Meta, rest []byte, err error) {
	l := &loader{store: into, opts: o, in: rdb.NewReader(r, rdb.Limits{SkipChecksum: o.NoChecksum}), meta: newMeta(), db: into.DB(0)}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	fillable := false
	l.locked(func() {
		into.Tick(o.Now)
		fillable = into.Fillable()
	})
	if fillable && o.Workers > 1 {
		err = l.parallel(o.Workers)
	} else {
		err = l.steps(func() (more bool, err error) {
			l.locked(func() { more, err = l.some() })
			return more, err
		})
	}
	l.meta.Version = l.in.Version()
	return l.meta, l.in.Rest(), err
}

func newMeta() Meta { return Meta{ReplOffset: -1, StreamDB: -1, Aux: map[string]string{}} }

// steps repeats a step until it says that nothing follows.
func (l *loader) steps(step func() (more bool, err error)) (err error) {
	for more := true; more && err == nil; {
		keys := l.meta.Keys
		more, err = step()
		if d := l.keyDelay(); d > 0 {
			time.Sleep(time.Duration(l.meta.Keys-keys) * d)
		}
		if l.opts.Progress != nil {
			l.opts.Progress(l.in.Pos(), l.meta.Keys)
		}
	}
	return err
}

// giveWay is called between batches.
func (l *loader) giveWay() {
	if l.opts.Background {
		GiveWay()
	}
}

type loader struct {
	store *store.Store
	opts  LoadOptions
	in    *rdb.Reader
	meta  Meta
	db    *store.DB

	dbIndex int

	// The value whose elements are being read: fill stores some and reports whether they were the last; nil for none.
	fill   func(n *int) (done bool, err error)
	key    []byte
	expire int64

	entries int   // begun
	current int   // number of the one at hand, from 0
	began   int64 // position at which that one begins
}

func (l *loader) locked(fn func()) {
	if l.opts.Locked != nil {
		l.opts.Locked(fn)
		return
	}
	fn()
}

func (l *loader) keyDelay() time.Duration {
	if l.opts.KeyDelay == nil {
		return 0
	}
	return l.opts.KeyDelay()
}

// batch is the number of items of one step.
func (l *loader) batch() int {
	if l.keyDelay() > 0 {
		return 1
	}
	return batchItems
}

// some stores a batch and reports whether more follow.
func (l *loader) some() (more bool, err error) {
	from, items := l.in.Pos(), l.batch()
	n := 0 // outside the loop: fill makes it escape
	for ; n < items && l.in.Pos()-from < batchBytes; n++ {
		if l.fill != nil {
			done, err := l.fill(&n)
			if err != nil {
				return false, err
			}
			if done {
				l.fill = nil
			}
			continue
		}
		l.began, l.current = l.in.Pos(), l.entries
		ev, err := l.in.Next()
		if err != nil {
			return false, err
		}
		if ev.Kind == rdb.EOF {
			return false, nil
		}
		if err := l.event(&ev); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (l *loader) event(ev *rdb.Event) error {
	switch ev.Kind {
	case rdb.Aux:
		return l.aux(string(ev.Key), string(ev.Value))
	case rdb.Function:
		l.meta.Libraries = append(l.meta.Libraries, string(ev.Value))
	case rdb.SelectDB:
		if ev.DB < 0 || ev.DB >= l.store.Databases() {
			return fmt.Errorf("snapshot: the RDB has keys in database %d, this server has %d: raise the directive databases", ev.DB, l.store.Databases())
		}
		l.db, l.dbIndex = l.store.DB(ev.DB), ev.DB
	case rdb.Resize:
		l.db.Reserve(int(min(ev.Keys, 1<<31)))
	case rdb.Entry:
		return l.entry(ev)
	}
	return nil
}

func (l *loader) aux(name, value string) (err error) {
	l.meta.Aux[name] = value
	switch name {
	case "repl-id":
		l.meta.ReplID = value
	case "repl-offset":
		l.meta.ReplOffset, err = strconv.ParseInt(value, 10, 64)
	case "repl-stream-db":
		l.meta.StreamDB, err = strconv.Atoi(value)
	}
	if err != nil {
		return fmt.Errorf("snapshot: the RDB's field %s is %q, not a number", name, value)
	}
	return nil
}

// supported refuses what cannot be loaded.
func supported(ev *rdb.Event) error {
	if ev.Type == rdb.TypeString || ev.Supported() {
		return nil
	}
	return fmt.Errorf("snapshot: key %q has a value type (%d) that this server does not support yet", ev.Key, ev.Type)
}

// leftOut reports and counts an entry that is not to be loaded because it has expired.
func (l *loader) leftOut(ev *rdb.Event) bool {
	if !l.opts.DropExpired || ev.ExpireMS == 0 || ev.ExpireMS >= l.opts.Now {
		return false
	}
	l.meta.Expired++
	l.meta.Dropped = append(l.meta.Dropped, DroppedKey{l.dbIndex, string(ev.Key)})
	return true
}

func (l *loader) entry(ev *rdb.Event) error {
	l.entries++
	if err := supported(ev); err != nil {
		return err
	}
	if l.leftOut(ev) { // the reader skips a hash's fields by itself
		return nil
	}
	l.meta.Keys++
	if ev.Type == rdb.TypeString {
		l.db.SetString(ev.Key, ev.Value, ev.ExpireMS)
		l.access(ev)
		return nil
	}
	l.db.Delete(ev.Key)
	l.key, l.expire = append(make([]byte, 0, len(ev.Key)+1), ev.Key...), ev.ExpireMS
	switch ev.Type.Name() {
	case "hash":
		l.fill = l.fields
		l.db.HashForWrite(l.key)
	case "list":
		l.fill = l.elements
		l.db.ListForWrite(l.key)
	case "set":
		l.fill = l.members
		l.db.SetForWrite(l.key)
	case "stream":
		l.fill = (&streamLoader{loader: l}).parts
		l.db.StreamForWrite(l.key)
	case "zset":
		l.fill = l.scored
		z, _ := l.db.ZSetForWrite(l.key)
		z.Reserve(ev.Fields, 0)
	default:
		panic("snapshot: values of type " + ev.Type.Name() + " are said to be supported, but nothing loads them")
	}
	l.expiry()
	l.access(ev)
	return nil
}

// access gives an entry the access clock that the file tells, when it is of the kind that the policy looks at.
func (l *loader) access(ev *rdb.Event) {
	if ev.Idle < 0 && ev.Freq < 0 {
		return
	}
	e, ok := l.db.Peek(ev.Key)
	switch lfu := l.store.Config.LFU; {
	case !ok:
	case lfu && ev.Freq >= 0:
		e.SetFrequency(uint8(ev.Freq), l.opts.Now)
	case !lfu && ev.Idle >= 0:
		e.SetIdle(ev.Idle, l.opts.Now)
	}
}

// expiry gives the key that is being read its expiry.
func (l *loader) expiry() {
	if l.expire != 0 {
		l.db.SetExpire(l.key, l.expire)
	}
}

// room reports whether the batch takes an element after n, the last of which ended at a position.
func (l *loader) room(n int, from int64) bool { return n < batchItems && l.in.Pos()-from < batchBytes }

// fields stores fields of the hash that is being read, as many as the batch still takes.
func (l *loader) fields(n *int) (done bool, err error) {
	h, _ := l.db.HashForWrite(l.key)
	for from := l.in.Pos(); l.room(*n, from); *n++ {
		f, v, ok, err := l.in.NextField()
		if err != nil {
			return true, err
		}
		if !ok {
			l.finish(h.Len())
			return true, nil
		}
		if at := l.in.FieldAt(); at != 0 {
			if at <= l.opts.Now {
				l.meta.Timed.Expired++
				continue
			}
			l.meta.Timed.Kept++
		}
		if !h.Set(f, v) {
			return true, l.twice("hash fields", f)
		}
	}
	return false, nil
}

// twice refuses an element that a value holds already.
func (l *loader) twice(what string, element []byte) error {
	return l.damaged(fmt.Errorf("integrity check failed: Duplicate %s detected: %q", what, element))
}

// damaged says where a value was found that cannot be right.
func (l *loader) damaged(err error) error {
	return &rdb.Error{Pos: l.in.Pos(), Reason: fmt.Sprintf("key %q, before this byte", l.key), Err: err}
}

// finish drops a key that was read without elements: there is no such thing in Redis.
func (l *loader) finish(elements int) {
	if elements > 0 {
		return
	}
	l.db.Delete(l.key)
	l.meta.Keys--
	l.meta.Empty++
	if l.opts.EmptyKey != nil {
		l.opts.EmptyKey(l.key)
	}
}

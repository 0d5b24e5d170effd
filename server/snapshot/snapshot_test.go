package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/store"
)

// mutex is a Lock.
type mutex struct{ sync.Mutex }

func (m *mutex) Exclusive(fn func()) {
	m.Lock()
	defer m.Unlock()
	fn()
}

func (m *mutex) Beside() func() { return func() {} }

func (m *mutex) Background(step func() bool) {
	for more := true; more; {
		m.Exclusive(func() { more = step() })
	}
}

type value struct {
	str    string
	fields map[string]string
	expire int64
}

// image reads a store's contents; keys of database i are prefixed by it.
func image(s *store.Store) map[string]value {
	m := map[string]value{}
	for i := range s.Databases() {
		s.DB(i).EachKey(func(k []byte, e store.Entry) bool {
			v := value{expire: e.ExpireAt()}
			switch e.Kind() {
			case store.HashKind:
				v.fields = map[string]string{}
				h := e.Hash()
				h.Each(func(f, val []byte) bool { v.fields[string(f)] = string(val); return true })
			case store.SetKind:
				v.fields = map[string]string{}
				s := e.Set()
				s.Each(func(m []byte) bool { v.fields["member "+string(m)] = ""; return true })
			case store.ZSetKind:
				z := e.ZSet()
				v.fields = scoresOf(&z)
			case store.ListKind:
				v.fields = imageOfList(e)
			default:
				v.str = string(e.Bytes(nil))
			}
			m[fmt.Sprintf("%d/%s", i, k)] = v
			return true
		})
	}
	return m
}

func diff(t *testing.T, got, want map[string]value) {
	t.Helper()
	for k, w := range want {
		g, ok := got[k]
		if !ok || g.str != w.str || g.expire != w.expire || !maps.Equal(g.fields, w.fields) {
			t.Fatalf("%.40s (there: %v): %d bytes want %d, %d fields want %d, expiry %d want %d", k, ok, len(g.str), len(w.str),
				len(g.fields), len(w.fields), g.expire, w.expire)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
}

func load(t *testing.T, b []byte) (map[string]value, Meta) {
	t.Helper()
	s := store.New(store.Options{Seed: 7, Databases: 4})
	meta, rest, err := Load(bytes.NewReader(b), s, LoadOptions{Now: 1})
	if err != nil || len(rest) != 0 {
		t.Fatalf("loading: %v, %d bytes left", err, len(rest))
	}
	return image(s), meta
}

// mutate is one random write.
func mutate(s *store.Store, r *rand.Rand) {
	d := s.DB(r.Intn(3))
	k := fmt.Appendf(nil, "k%d", r.Intn(3000))
	switch r.Intn(22) {
	case 19:
		mutateList(d, k, r)
	case 20, 21:
		mutateList(d, []byte("huge list"), r)
	case 0:
		d.Delete(k)
	case 1:
		d.SetExpire(k, int64(4e12)+int64(r.Intn(1000)))
	case 2:
		d.Rename(k, fmt.Appendf(nil, "k%d", r.Intn(3000)))
	case 3:
		d.SetString(k, bytes.Repeat([]byte{byte(r.Intn(256)), 'x'}, r.Intn(40000)), 0)
	case 4, 5, 6:
		if h, wrong := d.HashForWrite(k); !wrong {
			for range 1 + r.Intn(20) {
				h.Set(fmt.Append(nil, r.Intn(300)), fmt.Append(nil, "value", r.Int()))
			}
		}
	case 7, 8, 9:
		if h, wrong := d.HashForWrite([]byte("huge")); !wrong {
			f := fmt.Append(nil, "f", r.Intn(50000))
			if r.Intn(2) == 0 || !h.Del(f) {
				h.Set(f, bytes.Repeat([]byte{'h'}, r.Intn(100)*r.Intn(20)))
			}
		}
	case 11, 12:
		mutateSet(d, k, r, 300)
	case 13:
		mutateSet(d, []byte("huge set"), r, 50000)
	case 17:
		mutateZSet(d, k, r, 300)
	case 18:
		mutateZSet(d, []byte("huge zset"), r, 50000)
	case 10:
		if r.Intn(2000) == 0 {
			s.SwapDB(0, 1)
		} else if r.Intn(2000) == 0 {
			s.FlushDB(2)
		}
		s.Reclaim(100)
	default:
		d.SetString(k, fmt.Append(nil, r.Int63()>>uint(r.Intn(60))), 0)
	}
}

// sink keeps what it is given, slowly.
type sink struct {
	bytes.Buffer
	delay time.Duration
	fail  error
}

func (w *sink) Write(b []byte) (int, error) {
	time.Sleep(w.delay)
	if w.fail != nil {
		return 0, w.fail
	}
	return w.Buffer.Write(b)
}

func filled(seed int64) (*store.Store, *rand.Rand) {
	r := rand.New(rand.NewSource(seed))
	s := store.New(store.Options{Seed: uint64(seed), Databases: 4})
	h, _ := s.DB(0).HashForWrite([]byte("huge"))
	for i := range 50000 {
		h.Set(fmt.Append(nil, "f", i), []byte("before"))
	}
	l, _ := s.DB(0).ListForWrite([]byte("huge list"))
	for i := range 50000 {
		l.Push(false, fmt.Append(nil, "element ", i))
	}
	for range 8000 {
		mutate(s, r)
	}
	return s, r
}

// writer mutates until told to stop and returns its stop function.
func writer(lock *mutex, s *store.Store, r *rand.Rand) (stop func()) {
	return writerOf(lock, func() { mutate(s, r) })
}

// writerOf repeats a write.
func writerOf(lock *mutex, write func()) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				lock.Exclusive(func() {
					for range 20 {
						write()
					}
				})
				time.Sleep(20 * time.Microsecond)
			}
		}
	}()
	return func() { close(end); <-ended }
}

func spillTo(dir string) func() (SpillFile, error) {
	return func() (SpillFile, error) {
		f, err := os.CreateTemp(dir, "spill")
		return f, err
	}
}

func TestImageIsThatOfTheInstant(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay time.Duration
		opts  Options
		spill bool
	}{
		{name: "fast", opts: Options{}},
		{name: "plain", opts: Options{NoCompress: true, NoChecksum: true}},
		{name: "slow", delay: time.Millisecond, opts: Options{Buffer: 256 << 10, SpillAt: 128 << 10}, spill: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := time.Now().UnixNano() % 1e9
			t.Logf("seed %d", seed)
			s, r := filled(seed)
			var lock mutex
			stop := writer(&lock, s, r)
			var want map[string]value
			c.opts.AtCut = func() []Aux {
				want = image(s)
				return []Aux{{"repl-id", "abc"}, {"repl-offset", "42"}, {"repl-stream-db", "1"}}
			}
			c.opts.Spill = spillTo(t.TempDir())
			w := &sink{delay: c.delay}
			snap := Start(&lock, s, w, c.opts)
			err := snap.Wait()
			stop()
			if err != nil {
				t.Fatal(err)
			}
			p := snap.Progress()
			if p.KeysDone != p.Keys || p.Keys != len(want) || p.Bytes != int64(w.Len()) || p.Waiting != 0 {
				t.Errorf("progress at the end: %+v; %d keys, %d bytes", p, len(want), w.Len())
			}
			if c.spill && p.Spilled == 0 {
				t.Error("nothing was spilled: the test does not test it")
			}
			got, meta := load(t, w.Bytes())
			for k, v := range want { // a hash that a command left empty is not written
				if v.fields != nil && len(v.fields) == 0 {
					delete(want, k)
				}
			}
			diff(t, got, want)
			if meta.ReplID != "abc" || meta.ReplOffset != 42 || meta.StreamDB != 1 {
				t.Errorf("meta %+v", meta)
			}
		})
	}
}

func TestSeveralAtOnce(t *testing.T) {
	s, r := filled(3)
	var lock mutex
	stop := writer(&lock, s, r)
	var wants [3]map[string]value
	var sinks [3]sink
	var snaps [3]*Snapshot
	for i := range snaps {
		snaps[i] = Start(&lock, s, &sinks[i], Options{Buffer: 256 << 10, Spill: spillTo(t.TempDir()), AtCut: func() []Aux { wants[i] = image(s); return nil }})
		time.Sleep(3 * time.Millisecond)
	}
	for i := range snaps {
		if err := snaps[i].Wait(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for i := range snaps {
		got, _ := load(t, sinks[i].Bytes())
		diff(t, got, wants[i])
	}
}

func TestFailuresEndTheSnapshotAlone(t *testing.T) {
	broken := errors.New("broken pipe")
	full := errors.New("no space left on device")
	for _, c := range []struct {
		name string
		sink sink
		opts Options
		end  func(*Snapshot)
		want error
	}{
		{name: "sink", sink: sink{fail: broken}, want: broken},
		{name: "spill", sink: sink{delay: 20 * time.Millisecond}, want: full,
			opts: Options{Buffer: 1 << 10, SpillAt: 2 << 10, Spill: func() (SpillFile, error) { return nil, full }}},
		{name: "limit", sink: sink{delay: 20 * time.Millisecond}, want: ErrTooSlow, opts: Options{Buffer: 1 << 10, SpillAt: 1 << 30, Limit: 200 << 10}},
		{name: "cancel", sink: sink{delay: 5 * time.Millisecond}, want: ErrCanceled, end: (*Snapshot).Cancel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := filled(5)
			var lock mutex
			stop := writer(&lock, s, r)
			snap := Start(&lock, s, &c.sink, c.opts)
			if c.end != nil {
				c.end(snap)
			}
			err := snap.Wait()
			stop()
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			s.FlushAll()
			for s.Reclaim(1000) {
			}
			if n := s.UsedBytes(); n != 0 {
				t.Errorf("%d bytes are held after a failed snapshot", n)
			}
		})
	}
}

func TestSaveUnderTheLock(t *testing.T) {
	s, _ := filled(9)
	var w bytes.Buffer
	if err := Save(s, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	got, _ := load(t, w.Bytes())
	diff(t, got, image(s))
}

func TestLoadRefuses(t *testing.T) {
	s, _ := filled(11)
	var w bytes.Buffer
	if err := Save(s, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	whole := w.Bytes()
	small := store.New(store.Options{Databases: 1})
	if _, _, err := Load(bytes.NewReader(whole), small, LoadOptions{}); err == nil || !strings.Contains(err.Error(), "databases") {
		t.Errorf("too few databases: %v", err)
	}
	for _, n := range []int{0, 3, 12, 1000, len(whole) - 1} {
		if _, _, err := Load(bytes.NewReader(whole[:n]), store.New(store.Options{}), LoadOptions{}); err == nil {
			t.Errorf("a file of %d of %d bytes was loaded", n, len(whole))
		}
	}
	bent := bytes.Clone(whole)
	bent[len(bent)/2] ^= 4
	if _, _, err := Load(bytes.NewReader(bent), store.New(store.Options{}), LoadOptions{}); err == nil {
		t.Error("a file with a flipped bit was loaded")
	}
}

func TestLoadDropsExpired(t *testing.T) {
	s := store.New(store.Options{})
	s.DB(0).SetString([]byte("old"), []byte("x"), 100)
	s.DB(0).SetString([]byte("new"), []byte("x"), 300)
	h, _ := s.DB(0).HashForWrite([]byte("oldhash"))
	h.Set([]byte("f"), []byte("v"))
	s.DB(0).SetExpire([]byte("oldhash"), 100)
	var w bytes.Buffer
	if err := Save(s, &w, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, drop := range []bool{true, false} {
		to := store.New(store.Options{})
		meta, _, err := Load(bytes.NewReader(w.Bytes()), to, LoadOptions{Now: 200, DropExpired: drop})
		want := map[bool]int{true: 1, false: 3}[drop]
		if err != nil || to.DB(0).Len() != want || meta.Keys != want || meta.Expired != 3-want {
			t.Errorf("drop %v: %d keys, meta %+v, %v", drop, to.DB(0).Len(), meta, err)
		}
	}
}

// TestHoldsAreShort measures how long the walk holds the lock. The bound is on the usual hold: on a busy machine the
// longest says more of its scheduler.
func TestHoldsAreShort(t *testing.T) {
	s, _ := filled(13)
	lock := &timed{}
	if err := Start(lock, s, io.Discard, Options{}).Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lock.holds)
	n := len(lock.holds)
	t.Logf("%d holds, median %v, 90 %% %v, longest %v", n, lock.holds[n/2], lock.holds[n*9/10], lock.holds[n-1])
	if lock.holds[n/2] > time.Millisecond {
		t.Errorf("the usual hold takes %v", lock.holds[n/2])
	}
}

type timed struct {
	mutex
	holds []time.Duration
}

func (m *timed) Background(step func() bool) {
	for more := true; more; {
		from := time.Now()
		more = step()
		m.holds = append(m.holds, time.Since(from))
	}
}

// BenchmarkSave reports the time per key of a whole save of a million keys.
func BenchmarkSave(b *testing.B) {
	s := store.New(store.Options{Seed: 1})
	val := bytes.Repeat([]byte("v"), 64)
	for i := range 1_000_000 {
		s.DB(0).SetString(fmt.Appendf(nil, "key:%012d", i), val, 0)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "dump"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if err := Save(s, f, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/key")
}

// BenchmarkLoad reports the time per key of loading a million keys.
func BenchmarkLoad(b *testing.B) {
	s := store.New(store.Options{Seed: 1})
	val := bytes.Repeat([]byte("v"), 64)
	for i := range 1_000_000 {
		s.DB(0).SetString(fmt.Appendf(nil, "key:%012d", i), val, 0)
	}
	var w bytes.Buffer
	if err := Save(s, &w, Options{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := Load(bytes.NewReader(w.Bytes()), store.New(store.Options{Seed: 2}), LoadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/key")
}

// TestKeyDelayIsOfEveryKey: those that go out early, because they are written to meanwhile, are waited for as well.
func TestKeyDelayIsOfEveryKey(t *testing.T) {
	s := store.New(store.Options{Seed: 1})
	lock := &mutex{}
	fill := func() {
		for i := range 200 {
			s.DB(0).SetString(fmt.Append(nil, i), []byte("v"), 0)
		}
	}
	fill()
	from := time.Now()
	slow := Start(lock, s, io.Discard, Options{KeyDelay: func() time.Duration { return 500 * time.Microsecond }})
	lock.Exclusive(fill)
	if err := slow.Wait(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(from); took < 100*time.Millisecond {
		t.Errorf("200 keys that are overwritten took %v, the delays alone are 100 ms", took)
	}
}

func TestKeyDelayIsKeptAndCanceled(t *testing.T) {
	s := store.New(store.Options{Seed: 1})
	for i := range 200 {
		s.DB(0).SetString(fmt.Append(nil, i), []byte("v"), 0)
	}
	var out bytes.Buffer
	from := time.Now()
	if err := Start(&mutex{}, s, &out, Options{KeyDelay: func() time.Duration { return 500 * time.Microsecond }}).Wait(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(from); took < 100*time.Millisecond {
		t.Errorf("200 keys took %v, the delays alone are 100 ms", took)
	}
	got, _ := load(t, out.Bytes())
	diff(t, got, image(s))
	from = time.Now()
	slow := Start(&mutex{}, s, io.Discard, Options{KeyDelay: func() time.Duration { return time.Hour }})
	slow.Cancel()
	if err := slow.Wait(); !errors.Is(err, ErrCanceled) || time.Since(from) > 10*time.Second {
		t.Errorf("canceled in a delay: %v after %v", err, time.Since(from))
	}
}

// TestCanceledAtItsEnd: a snapshot may be canceled while it ends by itself. It is whole then, or says that it is not.
func TestCanceledAtItsEnd(t *testing.T) {
	s := store.New(store.Options{Seed: 1})
	s.DB(0).SetString([]byte("k"), []byte("v"), 0)
	for range 500 {
		var out bytes.Buffer
		snap, canceled := Start(&mutex{}, s, &out, Options{}), make(chan struct{})
		go func() {
			defer close(canceled)
			snap.Cancel()
		}()
		if err := snap.Wait(); err == nil {
			got, _ := load(t, out.Bytes())
			diff(t, got, image(s))
		} else if !errors.Is(err, ErrCanceled) {
			t.Fatal(err)
		}
		<-canceled
	}
}

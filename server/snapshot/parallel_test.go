package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"
	"testing/iotest"

	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/store"
)

func saved(t *testing.T, s *store.Store) []byte {
	t.Helper()
	var w sink
	if err := Save(s, &w, Options{AtCut: func() []Aux { return []Aux{{"repl-id", "abc"}, {"repl-offset", "77"}} }}); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// TestParallelLoadIsTheSequentialOne: whatever the number of goroutines, the same keys and the same words about them.
func TestParallelLoadIsTheSequentialOne(t *testing.T) {
	s, _ := filled(5)
	want, file := image(s), saved(t, s)
	now := int64(4e12) + 500 // some have expired
	for _, drop := range []bool{false, true} {
		var first Meta
		for _, workers := range []int{1, 2, 3, 16, 40} {
			into := store.New(store.Options{Seed: uint64(workers), Databases: 4})
			for i := range 4 { // Join takes a store that was used before
				into.DB(i).SetString([]byte("gone"), []byte("gone"), 0)
				into.DB(i).Delete([]byte("gone"))
			}
			locked := 0
			meta, rest, err := Load(iotest.HalfReader(bytes.NewReader(file)), into, LoadOptions{Now: now, DropExpired: drop, Workers: workers,
				Locked: func(fn func()) { locked++; fn() }})
			if err != nil || len(rest) != 0 || workers > 1 && locked != 2 {
				t.Fatalf("%d workers: %v, %d bytes left, locked %d times", workers, err, len(rest), locked)
			}
			if workers == 1 {
				first = meta
			}
			if fmt.Sprint(meta) != fmt.Sprint(first) || meta.ReplOffset != 77 {
				t.Fatalf("%d workers: %+v, want %+v", workers, meta, first)
			}
			left := map[string]value{}
			for k, v := range want {
				if !drop || v.expire == 0 || v.expire >= now {
					left[k] = v
				}
			}
			if drop && len(left) == len(want) {
				t.Fatal("nothing had expired: the test does not show what it should")
			}
			diff(t, image(into), left)
			if workers > 1 { // the store works as any other
				diff(t, reloaded(t, into), left)
				into.FlushAll()
				for into.Reclaim(1000) {
				}
				if n := into.UsedBytes(); n != 0 {
					t.Fatalf("%d workers: %d bytes are lost", workers, n)
				}
			}
		}
	}
}

func reloaded(t *testing.T, s *store.Store) map[string]value {
	t.Helper()
	m, _ := load(t, saved(t, s))
	return m
}

// TestLoadOntoKeysReplacesThem: a store with keys is loaded as before, in one goroutine and under the lock.
func TestLoadOntoKeysReplacesThem(t *testing.T) {
	s, _ := filled(6)
	want, file := image(s), saved(t, s)
	into := store.New(store.Options{Seed: 1, Databases: 4})
	into.DB(0).SetString([]byte("huge"), []byte("of another kind"), 0)
	into.DB(3).SetString([]byte("mine"), []byte("stays"), 0)
	locked := 0
	if _, _, err := Load(bytes.NewReader(file), into, LoadOptions{Now: 1, Workers: 4, Locked: func(fn func()) { locked++; fn() }}); err != nil {
		t.Fatal(err)
	}
	want["3/mine"] = value{str: "stays"}
	diff(t, image(into), want)
	if locked < 10 {
		t.Errorf("a store in use was locked %d times only", locked)
	}
}

// TestLoadErrorsAreTheSameInParallel: a file that breaks off, or is damaged inside a value, gives the error of a
// sequential load, with its byte, and leaves nothing behind that the caller cannot free.
func TestLoadErrorsAreTheSameInParallel(t *testing.T) {
	s, _ := filled(7)
	file := saved(t, s)
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	files := map[string][]byte{"packed": damagedPack(20000), "database": rdb.AppendSelectDB(append([]byte(nil), file[:9]...), 12)}
	for range 12 {
		n := r.Intn(len(file))
		files[fmt.Sprintf("cut at %d", n)] = file[:n]
	}
	for name, b := range files {
		_, _, want := Load(bytes.NewReader(b), store.New(store.Options{Databases: 4}), LoadOptions{Now: 1, Workers: 1})
		for _, workers := range []int{2, 5} {
			into := store.New(store.Options{Databases: 4})
			_, _, err := Load(bytes.NewReader(b), into, LoadOptions{Now: 1, Workers: workers})
			if err == nil || want == nil || err.Error() != want.Error() {
				t.Errorf("%s, %d workers: %v, want %v", name, workers, err, want)
			}
			into.FlushAll()
			for into.Reclaim(1000) {
			}
			if n := into.UsedBytes(); n != 0 {
				t.Errorf("%s: %d bytes are lost", name, n)
			}
		}
	}
}

// damagedPack is a file of n strings with a hash in the middle that cannot be read, though it is clear where it ends.
func damagedPack(n int) []byte {
	b := rdb.AppendSelectDB(rdb.AppendMagic(nil, rdb.Version), 0)
	for i := range n {
		if i == n/2 {
			b = rdb.AppendHashListpackEntry(b, []byte("bad"), []byte("not a listpack"), false)
		}
		b = rdb.AppendStringEntry(b, fmt.Append(nil, "key", i), []byte("some value of some length"), false)
	}
	return rdb.AppendEOF(b, 0, false)
}

// TestLoadEndsWithItsReader: a source that fails, late, ends all that the load has begun.
func TestLoadEndsWithItsReader(t *testing.T) {
	s, _ := filled(8)
	file := saved(t, s)
	broken := errors.New("broken")
	src := io.MultiReader(bytes.NewReader(file[:len(file)-100]), iotest.ErrReader(broken))
	if _, _, err := Load(src, store.New(store.Options{Databases: 4}), LoadOptions{Now: 1, Workers: 3}); !errors.Is(err, broken) {
		t.Errorf("%v, want the source's error", err)
	}
}

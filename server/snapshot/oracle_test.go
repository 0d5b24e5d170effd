package snapshot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
	"github.com/understudy-db/understudy/server/store"
)

// redisImage reads what a redis-server holds in its first four databases.
func redisImage(redis *oracle.Server) map[string]value {
	m := map[string]value{}
	for db := range 4 {
		redis.Must("SELECT", fmt.Sprint(db))
		for _, e := range redis.Must("KEYS", "*").Elems {
			k := string(e.Str)
			v := value{expire: max(redis.Must("PEXPIRETIME", k).Int, 0)}
			switch string(redis.Must("TYPE", k).Str) {
			case "hash":
				v.fields = map[string]string{}
				all := redis.Must("HGETALL", k).Elems
				for i := 0; i < len(all); i += 2 {
					v.fields[string(all[i].Str)] = string(all[i+1].Str)
				}
			case "set":
				v.fields = map[string]string{}
				for _, m := range redis.Must("SMEMBERS", k).Elems {
					v.fields["member "+string(m.Str)] = ""
				}
			case "zset":
				v.fields = map[string]string{}
				all := redis.Must("ZRANGE", k, "0", "-1", "WITHSCORES").Elems
				for i := 0; i < len(all); i += 2 {
					v.fields["scored "+string(all[i].Str)] = string(all[i+1].Str)
				}
			case "list":
				v.fields = map[string]string{}
				for i, x := range redis.Must("LRANGE", k, "0", "-1").Elems {
					v.fields[fmt.Sprint("at ", i)] = string(x.Str)
				}
			default:
				v.str = string(redis.Must("GET", k).Str)
			}
			m[fmt.Sprintf("%d/%s", db, k)] = v
		}
	}
	return m
}

// TestRedisLoadsASnapshotTakenUnderWrites gives a cut with pre-images, an open hash and several databases to a real
// redis-server, and takes its own dump back.
func TestRedisLoadsASnapshotTakenUnderWrites(t *testing.T) {
	oracle.NeedRedis(t)
	s, r := filled(17)
	var lock mutex
	stop := writer(&lock, s, r)
	var want map[string]value
	var w sink
	snap := Start(&lock, s, &w, Options{Spill: spillTo(t.TempDir()), AtCut: func() []Aux { want = image(s); return []Aux{{"redis-ver", "7.0.15"}} }})
	err := snap.Wait()
	stop()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), w.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	redis := oracle.StartIn(t, dir)
	diff(t, redisImage(redis), want)
	redis.Must("SAVE")
	b, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	back := store.New(store.Options{Seed: 3})
	if _, _, err := Load(bytes.NewReader(b), back, LoadOptions{Now: 1}); err != nil {
		t.Fatal(err)
	}
	diff(t, image(back), want)
}

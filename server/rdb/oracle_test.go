package rdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// fill writes data whose saved form has every encoding of strings and hashes, and one key of every
// other type.
func fill(redis *oracle.Server) {
	for i, s := range sampleStrings() {
		redis.Must("SET", fmt.Sprintf("s:%d", i), string(s))
		redis.Must("HSET", "big", fmt.Sprintf("f%d", i), string(s))
		if len(s) <= 64 {
			redis.Must("HSET", "small", fmt.Sprintf("f%d", i), string(s))
		}
	}
	redis.Must("PEXPIREAT", "s:3", "4102444800123")
	redis.Must("SELECT", "7")
	redis.Must("HSET", "expiring", "a", "1")
	redis.Must("PEXPIREAT", "expiring", "4102444800124")
	redis.Must("RPUSH", "list", "a", "b", strings.Repeat("x", 9000))
	redis.Must("SADD", "intset", "1", "2", "300000")
	redis.Must("SADD", "set", "a", "b")
	redis.Must("ZADD", "zset", "1.5", "a", "inf", "b")
	redis.Must("CONFIG", "SET", "zset-max-listpack-entries", "0")
	redis.Must("ZADD", "bigzset", "1.5", "a", "-inf", "b")
	redis.Must("XADD", "stream", "1-1", "f", "v")
	redis.Must("XADD", "stream", "2-1", "f", "v")
	redis.Must("XGROUP", "CREATE", "stream", "g", "0")
	redis.Must("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "stream", ">")
	redis.Must("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
	redis.Must("SET", "last", "behind all others")
	redis.Must("SELECT", "0")
}

func content(redis *oracle.Server) string {
	var records []record
	for db := range 16 {
		redis.Must("SELECT", fmt.Sprint(db))
		for _, k := range redis.Must("KEYS", "*").Elems {
			key := string(k.Str)
			rec := record{db: db, key: key, typ: string(redis.Must("TYPE", key).Str)}
			if at := redis.Must("PEXPIRETIME", key).Int; at > 0 {
				rec.expire = at
			}
			switch rec.typ {
			case "string":
				rec.value = string(redis.Must("GET", key).Str)
			case "hash":
				rec.hash = map[string]string{}
				all := redis.Must("HGETALL", key).Elems
				for i := 0; i < len(all); i += 2 {
					rec.hash[string(all[i].Str)] = string(all[i+1].Str)
				}
			case "set":
				rec.hash = map[string]string{}
				for _, m := range redis.Must("SMEMBERS", key).Elems {
					rec.hash[string(m.Str)] = "member"
				}
			}
			records = append(records, rec)
		}
	}
	return texts(records)
}

// TestReadsWhatRedisWrites saves a real server's data; with -rewrite the small part of it becomes the
// golden file.
func TestReadsWhatRedisWrites(t *testing.T) {
	for _, compression := range []string{"yes", "no"} {
		redis := oracle.Start(t, "--save", "", "--rdbcompression", compression)
		fill(redis)
		want := content(redis)
		redis.Must("SAVE")
		file, err := os.ReadFile(filepath.Join(redis.Dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		got, aux := readAll(t, bytes.NewReader(file))
		if texts(got) != want {
			t.Errorf("compression %s: got\n%.3000s\nwant\n%.3000s", compression, texts(got), want)
		}
		if aux["redis-ver"] == "" {
			t.Error("no aux fields")
		}
		seen := map[Type]bool{}
		for _, r := range got {
			seen[r.encoding] = true
		}
		for _, enc := range []Type{TypeString, TypeHash, TypeHashListpack, TypeListQuicklist2, TypeSetIntset, TypeZset2, TypeZsetListpack, TypeStreamListpacks2} {
			if !seen[enc] {
				t.Errorf("redis-server wrote no value of type %d: the test does not show what it should", enc)
			}
		}
		if *rewrite && compression == "yes" {
			redis.Must("SELECT", "0")
			redis.Must("DEL", "big")
			for i, s := range sampleStrings() {
				if len(s) > 5000 {
					redis.Must("DEL", fmt.Sprintf("s:%d", i))
				}
			}
			redis.Must("SAVE")
			saveGolden(t, redis)
		}
	}
}

func saveGolden(t *testing.T, redis *oracle.Server) {
	file, err := os.ReadFile(filepath.Join(redis.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"redis-7.0.15.rdb": file, "redis-7.0.15.txt": []byte(content(redis))} {
		if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRedisReadsWhatIsWritten(t *testing.T) {
	for _, c := range []struct{ compress, checksum bool }{{false, false}, {true, true}} {
		file, want := sampleFile(c.compress, c.checksum)
		checkLoads(t, file, want)
	}
	file, want := oldFile()
	checkLoads(t, file, want)
}

func TestRedisReadsRandomFiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	b := AppendSelectDB(AppendMagic(nil, Version), 0)
	var want []record
	for i := range 2000 {
		v := make([]byte, rnd.IntN(2000))
		letters := 1 + rnd.IntN(256)
		for j := range v {
			v[j] = byte(rnd.IntN(letters))
		}
		key := fmt.Sprintf("%d", i)
		b = AppendStringEntry(b, []byte(key), v, true)
		want = append(want, record{key: key, typ: "string", value: string(v)})
	}
	checkLoads(t, AppendEOF(b, CRC64(0, b), true), want)
}

// checkLoads starts redis-server on the file and compares; redis-check-rdb must pass it too.
func checkLoads(t *testing.T, file []byte, want []record) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "dump.rdb")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	redis := oracle.StartIn(t, dir, "--save", "", "--sanitize-dump-payload", "yes")
	if got := content(redis); got != texts(want) {
		t.Errorf("redis-server loaded\n%.2000s\nwant\n%.2000s", got, texts(want))
	}
	out, err := exec.Command("redis-check-rdb", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "RDB looks OK") {
		t.Errorf("redis-check-rdb: %v\n%s", err, out)
	}
}

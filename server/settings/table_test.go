package settings

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// valuesOfTheProcess are set by the harness or the environment, not by the table.
var valuesOfTheProcess = map[string]bool{"port": true, "unixsocket": true, "dir": true, "logfile": true, "pidfile": true}

func TestNamesAndDefaultsAreThoseOfRedis(t *testing.T) {
	redis := oracle.Start(t)
	theirs := map[string]string{}
	reply := redis.Must("CONFIG", "GET", "*").Elems
	for i := 0; i < len(reply); i += 2 {
		theirs[string(reply[i].Str)] = string(reply[i+1].Str)
	}
	if len(theirs) < 150 {
		t.Fatalf("redis-server lists only %d directives", len(theirs))
	}
	for _, p := range New().Get("*") {
		want, known := theirs[p.Name]
		delete(theirs, p.Name)
		switch {
		case !known && !isAdded(p.Name):
			t.Errorf("%s: redis-server does not have it and own.go does not list it", p.Name)
		case known && want != p.Value && !valuesOfTheProcess[p.Name]:
			t.Errorf("%s: default %q, redis-server %q", p.Name, p.Value, want)
		}
	}
	for name := range theirs {
		t.Errorf("%s is missing", name)
	}
}

// since72 are directives that came with Redis 7.2, whose own redis.conf sets them all.
var since72 = []string{"locale-collate", "set-max-listpack-entries", "set-max-listpack-value"}

// TestHiddenNamesAreThoseOfRedis: what CONFIG GET shows only by its name is there on both, with the same default.
func TestHiddenNamesAreThoseOfRedis(t *testing.T) {
	redis := oracle.Start(t)
	hidden := map[string]bool{ // of 7.0.15
		"key-load-delay": true, "loading-process-events-interval-bytes": true, "lua-enable-deprecated-api": true,
		"rdb-key-save-delay": true, "use-exit-on-panic": true, "watchdog-period": true,
	}
	ours := New()
	for _, d := range Directives() {
		if d.flags&flagHidden != 0 && !isOwn(d.Name) && !hidden[d.Name] {
			t.Errorf("%s is hidden here alone", d.Name)
		}
	}
	for name := range hidden {
		reply := redis.Must("CONFIG", "GET", name).Elems
		got := ours.Get(name)
		if len(reply) != 2 || len(got) != 1 || string(reply[1].Str) != got[0].Value {
			t.Errorf("CONFIG GET %s: ours %v, redis-server %v", name, got, reply)
		}
	}
}

// readElsewhere are the directives that this package itself hands out or obeys, by a method or while it reads.
var readElsewhere = map[string]bool{"dir": true, "latency-tracking-info-percentiles": true, "cluster-enabled": true}

// TestEveryDirectiveIsReadOrSaysWhyItHasNoEffect looks into the source: who has an effect is read by somebody, and who is
// said to have none by nobody.
func TestEveryDirectiveIsReadOrSaysWhyItHasNoEffect(t *testing.T) {
	keys, err := os.ReadFile("keys.go")
	if err != nil {
		t.Fatal(err)
	}
	variable := map[string]string{} // the key's, by directive
	for _, m := range regexp.MustCompile(`(\w+)\s+= \w+Key\("([^"]+)"\)`).FindAllStringSubmatch(string(keys), -1) {
		variable[m[2]] = m[1]
	}
	source := sourceOfTheServer(t)
	for _, d := range Directives() {
		read := readElsewhere[d.Name] || strings.Contains(source, `"`+d.Name+`"`)
		if name := variable[d.Name]; name != "" && !read {
			read = regexp.MustCompile(`\bsettings\.` + name + `\b`).MatchString(source)
		}
		switch {
		case read && d.Inert != "" && d.Name != "hz": // INFO shows it
			t.Errorf("%s is read, and said to have no effect: %s", d.Name, d.Inert)
		case !read && d.Inert == "":
			t.Errorf("%s is read by nobody, and has no reason for it", d.Name)
		}
	}
}

// sourceOfTheServer is all of it but this package and the tests.
func sourceOfTheServer(t *testing.T) string {
	var b strings.Builder
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == "../settings" || path == "../servertest" {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		}
		return nil
	})
	if err != nil || b.Len() < 1<<20 {
		t.Fatalf("read %d bytes of source: %v", b.Len(), err)
	}
	return b.String()
}

// setCases are tried on redis-server and on ours, in order: the replies and the values after each
// must be equal.
var setCases = []string{
	"maxmemory=", "maxmemory=100mb", "maxmemory=1x", "maxmemory=-1", "maxmemory=18446744073709551615", "maxmemory=1GB", "maxmemory=0",
	"shutdown-on-sigterm=save now", "shutdown-on-sigterm=SAVE  now", "shutdown-on-sigterm=save nosave", "shutdown-on-sigterm=x", "shutdown-on-sigterm=",
	"oom-score-adj-values=1 2 3000", "oom-score-adj-values=1 2 3",
	"hz=0", "hz=5000", "port=abc", "port=99999", "timeout=05", "timeout= 5", "timeout=+5", "timeout=-1", "timeout=", "timeout=77",
	"proc-title-template={foo}", "proc-title-template={title} {port}", "notify-keyspace-events=KEA", "notify-keyspace-events=Kg$lshzxetdmn",
	"notify-keyspace-events=Elg$n", "notify-keyspace-events=nKA", "notify-keyspace-events=Z", "notify-keyspace-events=",
	"latency-tracking-info-percentiles=50.1230 abc", "latency-tracking-info-percentiles=50.1230 99.00", "latency-tracking-info-percentiles=101",
	"latency-tracking-info-percentiles=", "save=900 1", "save=900", "save=0 1", "save=5 -1", "save=900 1 60 2", "save=900  1", "save=",
	"maxmemory=1kb,maxmemory=2kb", "nosuch=1", "maxmemory=1,nosuch=1", "databases=3", "databases=3,nosuch=1", "maxmemory=77,timeout=x", "timeout=8,maxmemory=88",
	"maxmemory-clients=5%", "maxmemory-clients=-5", "maxmemory-clients=101%", "maxmemory-clients=5mb", "maxmemory-clients=x",
	"slave-read-only=no", "replica-read-only=YES", "replica-read-only=1", "slave-priority=0", "repl-ping-slave-period=0", "min-slaves-to-write=2",
	"client-output-buffer-limit=replica 1mb 2 3", "client-output-buffer-limit=normal 1", "client-output-buffer-limit=normal 1 a 2",
	"client-output-buffer-limit=foo 1 1 1", "client-output-buffer-limit=normal 1 2 3 pubsub 4kb 5 6", "client-output-buffer-limit=master 1 1 1",
	"replicaof=a 1", "loglevel=x", "loglevel=DEBUG", "slowlog-log-slower-than=-5", "slowlog-log-slower-than=-1", "cluster-announce-hostname=a b",
	"maxmemory-policy=allkeys-lru", "maxmemory-policy=lru", "unixsocketperm=1", "dir=/tmp", "dbfilename=x", "hash-max-ziplist-entries=3",
	"requirepass=", "masterauth=a b\tc", "repl-backlog-size=0", "repl-backlog-size=1", "proto-max-bulk-len=1", "proto-max-bulk-len=2mb", "tcp-keepalive=x",
	"repl-diskless-load=swapdb", "client-query-buffer-limit=1", "slave-read-only=no,replica-read-only=yes", "rdbcompression=no,rdbchecksum=no",
}

func TestConfigSetAnswersAsRedis(t *testing.T) {
	redis := oracle.Start(t, "--save", "")
	ours := New()
	if err := ours.LoadText("test", `save ""`); err != nil {
		t.Fatal(err)
	}
	for _, c := range setCases {
		command := []string{"CONFIG", "SET"}
		var pairs []Pair
		for _, assignment := range strings.Split(c, ",") {
			name, v, _ := strings.Cut(assignment, "=")
			pairs = append(pairs, Pair{name, v})
			command = append(command, name, v)
		}
		want := string(redis.Do(command...).Str)
		got := "OK"
		if err := ours.Set(SetContext{}, pairs...); err != nil {
			got = "ERR " + err.Error()
		}
		if got != want {
			t.Errorf("CONFIG SET %s\n ours  %s\n redis %s", c, got, want)
		}
		for _, p := range pairs {
			reply := redis.Must("CONFIG", "GET", p.Name).Elems
			if len(reply) == 2 && !valuesOfTheProcess[p.Name] && string(reply[1].Str) != ours.Value(p.Name) {
				t.Errorf("after CONFIG SET %s: %s = %q, redis %q", c, p.Name, ours.Value(p.Name), reply[1].Str)
			}
		}
	}
}

func TestConfigGetPatternsAsRedis(t *testing.T) {
	redis := oracle.Start(t)
	ours := New()
	for _, patterns := range [][]string{{"*read-only"}, {"SLAVE-read-only"}, {"hash-max-zip*", "hash-max-ziplist-value"}, {"[a"}, {"[a-b]*"},
		{"[^a-t]*"}, {"max*", "*memory"}, {"????"}, {"nosuch"}, {"rdb-key-save-delay"}, {"rdb-key*"}, {"*-list*\\-*"}, {"MAX*"}, {"tls-*key*"}} {
		reply := redis.Must(append([]string{"CONFIG", "GET"}, patterns...)...).Elems
		var want, got []string
		for i := 0; i < len(reply); i += 2 {
			if name := string(reply[i].Str); !valuesOfTheProcess[name] {
				want = append(want, name+"="+string(reply[i+1].Str))
			}
		}
		for _, p := range ours.Get(patterns...) {
			if !valuesOfTheProcess[p.Name] && !isAdded(p.Name) {
				got = append(got, p.Name+"="+p.Value)
			}
		}
		sort.Strings(want)
		sort.Strings(got)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("CONFIG GET %v\n ours  %v\n redis %v", patterns, got, want)
		}
	}
}

func isOwn(name string) bool {
	return slices.ContainsFunc(own, func(d Directive) bool { return d.Name == name })
}

// isAdded tells that the redis-server of these tests cannot have a directive.
func isAdded(name string) bool { return isOwn(name) || slices.Contains(since72, name) }

// badFiles are refused by redis-server; ours must print the same lines and one that names the file.
var badFiles = []string{"foo bar", "maxmemory abc", "port 99999", "save a b", "dir /nope", "replicaof 1", "requirepass \"abc", "port",
	"bind a b c d e f g h i j k l m n o p q", "rename-command get", "loglevel x", "unixsocketperm 999", "maxmemory-clients 200%",
	"client-output-buffer-limit foo 1 1 1", "slave-read-only maybe", "notify-keyspace-events Z", "oom-score-adj-values 1", "databases 0",
	"latency-tracking-info-percentiles 200", "replicaof 127.0.0.1 abc", "port 1 2", "appendfilename a/b", "dbfilename a/b", "include", "'a'b 1"}

func TestBadFilesAreRefusedAsRedisDoes(t *testing.T) {
	oracle.NeedRedis(t)
	path := filepath.Join(t.TempDir(), "t.conf")
	for _, line := range badFiles {
		if err := os.WriteFile(path, []byte("# a comment\n\n  "+line+"\nport 0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want, _ := exec.Command("redis-server", path).CombinedOutput()
		err := New().Load(ParseArgs([]string{path}), nil)
		bad, ok := err.(*Error)
		if !ok {
			t.Errorf("%s: %v, want an error with file and line", line, err)
			continue
		}
		got := strings.TrimSuffix(bad.Fatal("7.0.15"), "(in "+path+")\n")
		if got != string(want) {
			t.Errorf("%s:\nours  %s\nredis %s", line, got, want)
		}
	}
}

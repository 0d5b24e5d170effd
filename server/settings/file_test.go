package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, args ...string) *Settings {
	t.Helper()
	s := New()
	if err := s.Load(ParseArgs(args), strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileThenStdinThenFlags(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "a.conf"), "port 1\ntimeout 1\nmaxmemory 1\nsave 900 1\nsave 60 2\nSlaveOf h 7\n")
	s := New()
	err := s.Load(ParseArgs([]string{path, "--maxmemory", "3", "--replica-priority 9", "--save", "5", "5", "--requirepass", "--x", "-"}),
		strings.NewReader("timeout 2\nmaxmemory 2"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"port": "1", "timeout": "2", "maxmemory": "3", "slave-priority": "9",
		"save": "900 1 60 2 5 5", "requirepass": "--x", "replicaof": "h 7"} {
		if got := s.Value(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if s.File() != path {
		t.Errorf("file %q", s.File())
	}
}

func TestArgumentForms(t *testing.T) {
	for _, c := range []struct {
		args []string
		want Invocation
	}{
		{nil, Invocation{}},
		{[]string{"--port", "1"}, Invocation{Options: `port "1"`}},
		{[]string{"--port 1"}, Invocation{Options: "port 1"}},
		{[]string{"--save", "--port", "1"}, Invocation{Options: "save \"\"\nport \"1\""}},
		{[]string{"--save"}, Invocation{Options: `save ""`}},
		{[]string{"--save", "1", "2", "--bind", "a", "b"}, Invocation{Options: "save \"1\" \"2\"\nbind \"a\" \"b\""}},
		{[]string{"--requirepass", "--a\n"}, Invocation{Options: `requirepass "--a\n"`}},
		{[]string{"/f", "-"}, Invocation{File: "/f", Stdin: true}},
		{[]string{"--supervise", "--config", "/f", "--managed", "--data-dir", "/d"}, Invocation{File: "/f", Options: "supervise yes\nmanaged yes\ndir \"/d\""}},
		{[]string{"--managed", "no"}, Invocation{Options: `managed "no"`}},
	} {
		if got := ParseArgs(c.args); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.args, got, c.want)
		}
	}
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x1.inc"), "timeout 5\n")
	write(t, filepath.Join(dir, "x2.inc"), "\nhz 50\n")
	s := load(t, write(t, filepath.Join(dir, "a.conf"), "dir "+dir+"\ninclude x*.inc\ninclude "+dir+"/none*.conf\nrename-command FLUSHALL \"\"\n"))
	if s.Value("timeout") != "5" || s.Value("hz") != "50" {
		t.Errorf("timeout %s hz %s", s.Value("timeout"), s.Value("hz"))
	}
	if r := s.Renames(); len(r) != 1 || r[0] != (Rename{"FLUSHALL", ""}) {
		t.Errorf("renames %v", r)
	}

	write(t, filepath.Join(dir, "x2.inc"), "\n\nhz no\n")
	err := New().Load(Invocation{File: filepath.Join(dir, "a.conf")}, nil)
	var bad *Error
	if !errors.As(err, &bad) || bad.Line != 3 || bad.Source != filepath.Join(dir, "x2.inc") {
		t.Errorf("error in an included file: %v", err)
	}
	loop := write(t, filepath.Join(dir, "loop.conf"), "include "+dir+"/loop.conf\n")
	if err := New().Load(Invocation{File: loop}, nil); err == nil || !strings.Contains(err.Error(), "nests deeper") {
		t.Errorf("a file that includes itself: %v", err)
	}
	if err := New().LoadText("t", "include /nope.conf"); err == nil || !strings.Contains(err.Error(), "can't open config file '/nope.conf': No such file or directory") {
		t.Errorf("a missing file: %v", err)
	}
}

// TestNewerFilesAreRead: what the redis.conf that comes with Redis 7.2 sets beyond that of 7.0 is accepted.
func TestNewerFilesAreRead(t *testing.T) {
	if err := New().LoadText("redis.conf", "locale-collate \"\"\nset-max-intset-entries 512\nset-max-listpack-entries 128\nset-max-listpack-value 64\n"); err != nil {
		t.Error(err)
	}
}

func TestPromisesThatCannotBeKeptAreRefused(t *testing.T) {
	for _, line := range []string{"cluster-enabled yes", "loadmodule x"} {
		if err := New().LoadText("t", line); err == nil {
			t.Errorf("%s was accepted", line)
		}
	}
	if err := New().LoadText("t", "appendonly no\ncluster-enabled no"); err != nil {
		t.Error(err)
	}
}

func TestHooksRunOncePerSetAndUndoIt(t *testing.T) {
	s := New()
	var seen []string
	fail := false
	s.OnChange(func() error {
		seen = append(seen, s.Value("maxmemory")+"/"+s.Value("timeout"))
		if fail {
			return reason("no room")
		}
		return nil
	}, "maxmemory", "timeout")
	if err := s.Set(SetContext{}, Pair{"maxmemory", "1mb"}, Pair{"timeout", "3"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(SetContext{}, Pair{"maxmemory", "1048576"}, Pair{"hz", "11"}); err != nil {
		t.Fatal(err)
	}
	fail = true
	err := s.Set(SetContext{}, Pair{"hz", "12"}, Pair{"timeout", "4"})
	if err == nil || err.Error() != "CONFIG SET failed (possibly related to argument 'timeout') - no room" {
		t.Errorf("error %v", err)
	}
	if got := strings.Join(seen, " "); got != "1048576/3 1048576/4 1048576/3" {
		t.Errorf("the hook saw %s", got)
	}
	if s.Int(Hz) != 11 || s.Int(Timeout) != 3 {
		t.Error("a failed SET left values behind")
	}
}

func TestProtectedAndLoading(t *testing.T) {
	s := New()
	dir := t.TempDir()
	if err := s.Set(SetContext{Protected: true}, Pair{"dir", dir}, Pair{"dbfilename", "x.rdb"}); err != nil {
		t.Fatal(err)
	}
	if s.Dir() != dir || s.String(DBFilename) != "x.rdb" {
		t.Error("protected values were not set")
	}
	if err := s.Set(SetContext{Protected: true, Loading: true}, Pair{"dir", dir}); err != ErrLoading {
		t.Errorf("while loading: %v", err)
	}
}

// TestRewriteAsRedis loads a file into both servers, changes the same values, rewrites and compares
// the files; ours must also load to the same values.
func TestRewriteAsRedis(t *testing.T) {
	const text = "# head\nport 0\n\n\nmaxmemory 1mb\nmaxmemory 2mb\ntimeout 7\n# mid\nslave-priority 5\nsave 900 1\nsave 60 2\n" +
		"client-output-buffer-limit normal 1mb 2 3\nmasterauth \"a b\\x00\"\nrename-command DEBUG dbg\n"
	sets := []Pair{{"maxmemory", "3mb"}, {"timeout", "0"}, {"hz", "20"}, {"replica-read-only", "no"}, {"notify-keyspace-events", "KEA"},
		{"maxmemory-policy", "allkeys-lru"}, {"repl-backlog-size", "1000000"}, {"client-output-buffer-limit", "pubsub 1gb 2 3"}, {"maxmemory-clients", "5%"}}
	dir := t.TempDir()
	theirs := write(t, filepath.Join(dir, "redis.conf"), text)
	mine := write(t, filepath.Join(dir, "mine.conf"), text)
	redis := oracle.Start(t, theirs)
	s := load(t, mine)
	for _, p := range sets {
		redis.Must("CONFIG", "SET", p.Name, p.Value)
		if err := s.Set(SetContext{}, p); err != nil {
			t.Fatal(err)
		}
	}
	redis.Must("CONFIG", "REWRITE")
	got := s.Rewrite(text)
	want, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := comparable(got), comparable(string(want)); g != w {
		t.Errorf("rewritten\n--- ours\n%s\n--- redis\n%s", g, w)
	}
	again := New()
	if err := again.LoadText("rewritten", got); err != nil {
		t.Fatal(err)
	}
	same(t, s, again)
	if twice := again.Rewrite(got); twice != got {
		t.Errorf("rewriting twice changes the file:\n%s\n---\n%s", got, twice)
	}
}

// comparable drops the lines that the harness's own flags and Redis' users cause, and sorts nothing:
// the order of the old lines must be kept.
func comparable(text string) string {
	head, tail, _ := strings.Cut(text, rewriteSignature)
	keep := func(part string) (out []string) {
		for _, line := range strings.Split(part, "\n") {
			name, _, _ := strings.Cut(line, " ")
			if !valuesOfTheProcess[name] && name != "user" && name != "latency-tracking-info-percentiles" && line != "" {
				out = append(out, line)
			}
		}
		return out
	}
	added := keep(tail)
	sortStrings(added) // Redis appends in the order of a hash table
	return strings.Join(append(keep(head), added...), "\n")
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

func same(t *testing.T, a, b *Settings) {
	t.Helper()
	for _, d := range Directives() {
		if a.Value(d.Name) != b.Value(d.Name) {
			t.Errorf("%s: %q and %q", d.Name, a.Value(d.Name), b.Value(d.Name))
		}
	}
}

func TestRewriteFileIsOneStep(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a.conf"), "# keep\nport 1\n")
	s := load(t, path)
	if err := s.Set(SetContext{}, Pair{"timeout", "9"}); err != nil {
		t.Fatal(err)
	}
	full := fsys.NewFaulty(fsys.OS{}, nil)
	full.SetSpace(3)
	if err := s.RewriteFile(full); err == nil || err.Error() != "Rewriting config file: no space left on device" {
		t.Errorf("on a full disk: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "# keep\nport 1\n" {
		t.Errorf("a failed rewrite left %q", text)
	}
	if err := s.RewriteFile(fsys.OS{}); err != nil {
		t.Fatal(err)
	}
	if again := load(t, path); again.Int(Timeout) != 9 || again.Int(Port) != 1 {
		t.Error("the rewritten file does not hold the values")
	}
	if err := New().RewriteFile(fsys.OS{}); err != ErrNoFile {
		t.Errorf("without a file: %v", err)
	}
}

func TestQuoteIsReadBack(t *testing.T) {
	var every [256]byte
	for i := range every {
		every[i] = byte(i)
	}
	words, ok := splitWords("x " + quote(string(every[:])))
	if !ok || len(words) != 2 || words[1] != string(every[:]) {
		t.Errorf("%v %q", ok, words)
	}
}

func TestReadsDoNotRaceWithSets(t *testing.T) {
	s := New()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			if n := s.Int(MaxMemory); n != 0 && n != 5 {
				t.Errorf("maxmemory %d was never set", n)
			}
			_ = s.SavePoints()
			_ = s.String(RequirePass)
		}
	}()
	for range 500 {
		if err := s.Set(SetContext{}, Pair{"maxmemory", "5"}, Pair{"save", "1 1"}, Pair{"requirepass", "x"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Set(SetContext{}, Pair{"maxmemory", "0"}); err != nil {
			t.Fatal(err)
		}
	}
	<-done
}

// FuzzFile: whatever the text, loading it neither panics nor hangs; what loads must rewrite to a file
// that loads to the same values.
func FuzzFile(f *testing.F) {
	for _, line := range append(badFiles, "save 1 2\nsave 3 4", "bind 1 2", "requirepass \"\\x00\\n'\"", "rename-command a b", "slaveof a 1", "include /dev/null") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // would read files of this machine
		}
		s := New()
		if err := s.LoadText("fuzz", text); err != nil {
			return
		}
		rewritten := s.Rewrite(text)
		again := New()
		if err := again.LoadText("rewritten", rewritten); err != nil {
			t.Fatalf("%v\n%q", err, rewritten)
		}
		same(t, s, again)
	})
}

func TestGiven(t *testing.T) {
	s := New()
	if s.Given("io-threads") {
		t.Error("a default counts as given")
	}
	if err := s.LoadText("test", "io-threads 1\n"); err != nil {
		t.Fatal(err)
	}
	if !s.Given("io-threads") || s.Given("port") {
		t.Errorf("given: io-threads %v, port %v", s.Given("io-threads"), s.Given("port"))
	}
}

// TestWholeRewriteIsReadBack: every directive at its place, nothing changed by reading the file again.
func TestWholeRewriteIsReadBack(t *testing.T) {
	s := New()
	if err := s.LoadText("test", "maxmemory 10mb\nsave 10 1\nrequirepass \"two words\"\nshutdown-on-sigterm \"now force\"\n"); err != nil {
		t.Fatal(err)
	}
	text := s.rewrite("", true)
	again := New()
	if err := again.LoadText("rewritten", text); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i := range all.rows {
		d := &all.rows[i]
		if got, want := again.Value(d.Name), s.Value(d.Name); got != want {
			t.Errorf("%s is %q after reading the file again, was %q", d.Name, got, want)
		}
	}
	if !strings.Contains(text, "timeout 0\n") || strings.Contains(s.Rewrite(""), "timeout 0") {
		t.Error("defaults belong into the whole rewrite only")
	}
	for _, p := range s.Get("*") {
		if d := Lookup(p.Name); isOwn(d.Name) && d.Immutable() {
			t.Errorf("CONFIG GET * shows %s, which only a start can set", d.Name)
		}
	}
	if got := s.Get("managed"); len(got) != 1 {
		t.Errorf("CONFIG GET managed shows %v", got)
	}
}

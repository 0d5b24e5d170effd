package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// files are the suite's files, in the order of results.txt; those with withTLS behind their name run a second time with
// every connection encrypted. Left out of what the suite lists itself:
//
//	unit/cluster, unit/cluster/*, unit/cluster-scripting   there is no cluster mode
//	unit/moduleapi/*                                       modules are not loaded
//	integration/aof-race                                   redis-server itself fails it: not in the suite's own list either
//
// tests/sentinel and tests/cluster are suites of their own.
var files = []string{
	"unit/printver", "unit/auth", "unit/acl", "unit/acl-v2", "unit/protocol", "unit/keyspace", "unit/scan", "unit/info", "unit/info-command", "unit/type/string", "unit/type/incr",
	"unit/type/hash", "unit/type/list", "unit/type/list-2", "unit/type/list-3", "unit/type/set", "unit/type/zset", "unit/type/stream", "unit/type/stream-cgroups", "unit/geo", "unit/hyperloglog", "unit/sort", "unit/bitops", "unit/bitfield", "unit/expire", "unit/other", "unit/multi", "unit/quit", "unit/tracking", "unit/latency-monitor", "unit/client-eviction", "unit/introspection", "unit/introspection-2",
	"unit/limits", "unit/obuf-limits", "unit/pendingquerybuf", "unit/querybuf", "unit/replybufsize", "unit/networking", "unit/pause", "unit/wait", "unit/pubsub", "unit/pubsubshard", "unit/scripting", "unit/functions",
	"unit/shutdown", "unit/slowlog", "unit/maxmemory", "unit/lazyfree", "unit/violations", "unit/memefficiency", "unit/oom-score-adj", "integration/logging", "integration/redis-cli", "integration/redis-benchmark", "unit/dump", "integration/rdb", "integration/convert-ziplist-hash-on-load", "integration/convert-ziplist-zset-on-load", "integration/convert-zipmap-hash-on-load", "integration/corrupt-dump", "integration/corrupt-dump-fuzzer",
	"integration/aof", "integration/aof-multi-part", "unit/aofrw",
	"integration/shutdown", "integration/replication", "integration/replication-2", "integration/replication-3", "integration/replication-4",
	"integration/replication-psync", "integration/replication-buffer", "integration/psync2", "integration/psync2-reg", "integration/psync2-pingoff",
	"integration/psync2-master-restart", "integration/block-repl", "integration/failover", "integration/dismiss-mem",
	"unit/tls" + withTLS, "unit/auth" + withTLS, "unit/protocol" + withTLS, "unit/type/string" + withTLS, "unit/obuf-limits" + withTLS, "unit/introspection" + withTLS,
	"integration/replication-4" + withTLS, "integration/psync2-reg" + withTLS, "integration/failover" + withTLS, "integration/redis-cli" + withTLS, "integration/redis-benchmark" + withTLS,
}

// withTLS marks a file that runs with the suite's option --tls.
const withTLS = "+tls"

// tools are the programs beside the server that the suite calls.
var tools = []string{"redis-cli", "redis-benchmark", "redis-check-rdb", "redis-check-aof"}

// suite is an unpacked test tree, bound to a server binary.
type suite struct {
	tree  string
	skips []skip
	limit time.Duration // for one file
	logs  string        // directory for the output of each file
	large bool          // run the tests of values beyond 4 GB
}

// prepare unpacks the suite into a directory of its own, so that several runs do not meet, and links the server and the
// tools into it.
func prepare(archive, work, server string) error {
	if err := run(work, "tar", "xf", archive, "--strip-components=1"); err != nil {
		return err
	}
	links := map[string]string{"redis-server": server}
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			return fmt.Errorf("%s is missing: apt-get install redis-tools redis-server", tool)
		}
		links[tool] = path
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(work, "src", name)); err != nil {
			return err
		}
	}
	return nil
}

// certify makes the suite's certificates, once. Parameters for Diffie-Hellman in finite fields, the slow part, are left out:
// the server does not read them.
func (s *suite) certify() error {
	probe := exec.Command("tclsh")
	probe.Stdin = strings.NewReader("package require tls\n")
	if out, _ := probe.CombinedOutput(); strings.Contains(string(out), "can't find package") {
		return errors.New("NOT RUN: apt-get install tcl-tls (for the files that end in " + withTLS + ")")
	}
	dir := filepath.Join(s.tree, "tests", "tls")
	if _, err := os.Stat(filepath.Join(dir, "client.crt")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "redis.dh"), nil, 0o644); err != nil {
		return err
	}
	return run(s.tree, "bash", "utils/gen-test-certs.sh")
}

// outcome is what one file gave.
type outcome struct {
	file                    string
	passed, skipped, ignore int
	failed                  []string          // names of tests
	causes                  map[string]string // of some of them: a command or subcommand that is not there
	aborted                 string            // why the file ended early
	seconds                 int
}

// runFile runs one file of the suite and reads its output.
func (s *suite) runFile(file string, port int) (outcome, error) {
	skipfile := filepath.Join(s.tree, "skips")
	if err := os.WriteFile(skipfile, []byte(strings.Join(namesFor(s.skips, file), "\n")), 0o644); err != nil {
		return outcome{}, err
	}
	name, encrypted := strings.CutSuffix(file, withTLS)
	if encrypted {
		if err := s.certify(); err != nil {
			return outcome{}, err
		}
	}
	cmd := exec.Command("tclsh", "tests/test_helper.tcl", "--single", name, "--clients", "1", "--durable", "--skipfile", skipfile,
		"--baseport", strconv.Itoa(port), "--portcount", "400", "--timeout", strconv.Itoa(int(s.limit.Seconds())))
	if denied := tagsFor(s.skips, file); denied != "" {
		cmd.Args = append(cmd.Args, "--tags", denied)
	}
	if encrypted {
		cmd.Args = append(cmd.Args, "--tls")
	}
	if s.large {
		cmd.Args = append(cmd.Args, "--large-memory")
	}
	cmd.Dir = s.tree
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that no server outlives its test
	logfile, err := os.Create(filepath.Join(s.logs, strings.ReplaceAll(file, "/", "_")+".log"))
	if err != nil {
		return outcome{}, err
	}
	defer logfile.Close()
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(&out, logfile)
	cmd.Stderr = cmd.Stdout
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	late := time.AfterFunc(s.limit, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait() // failures are read from the output
	timedOut := !late.Stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	o := parse(file, &out)
	o.seconds = int(time.Since(started).Seconds())
	if timedOut {
		o.aborted = fmt.Sprintf("not done after %s", s.limit)
	}
	return o, nil
}

var (
	colour = regexp.MustCompile("\x1b\\[[0-9;]*m")
	timing = regexp.MustCompile(` \(\d+ ms\)$`)
	lacks  = regexp.MustCompile(`unknown (sub)?command '[^']*'`)
)

// parse reads the suite's report: "[ok]: name (3 ms)", "[err]: name in tests/...", "[exception]: ...".
func parse(file string, r io.Reader) outcome {
	o := outcome{file: file, causes: map[string]string{}}
	finished := false
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 64<<20)
	for scan.Scan() {
		line := colour.ReplaceAllString(scan.Text(), "")
		kind, name, ok := strings.Cut(line, ": ")
		switch {
		case strings.Contains(line, "The End"):
			finished = true
		case len(o.failed) > 0 && !strings.HasPrefix(line, "["): // details of the last failure
			if cause := lacks.FindString(line); cause != "" && o.causes[o.failed[len(o.failed)-1]] == "" {
				o.causes[o.failed[len(o.failed)-1]] = cause
			}
		case !ok:
		case kind == "[ok]":
			o.passed++
		case kind == "[err]":
			name, _, _ = strings.Cut(name, " in tests/")
			o.failed = append(o.failed, timing.ReplaceAllString(name, ""))
		case kind == "[skip]":
			o.skipped++
		case kind == "[ignore]":
			o.ignore++
		case kind == "[exception]":
			o.aborted = strings.TrimPrefix(name, "Executing test client: ")
		case kind == "[timeout]":
			o.aborted = "timeout: " + name
		}
	}
	if !finished && o.aborted == "" {
		o.aborted = "ended early"
	}
	return o
}

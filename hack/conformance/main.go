package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	var (
		only   = flag.String("only", "", "files to run, separated by commas; all by default")
		server = flag.String("server", "", "server binary; built from ./server by default")
		update = flag.Bool("update", false, "write what was seen to results.txt")
		large  = flag.Bool("large", false, "run the tests of values beyond 4 GB, too: they need 16 GB of free memory and a quarter of an hour")
		limit  = flag.Duration("limit", 10*time.Minute, "time for one file")
		dir    = flag.String("dir", "hack/conformance", "directory of skips and results.txt")
	)
	flag.Parse()
	if err := conform(*only, *server, *dir, *update, *large, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func conform(only, server, dir string, update, large bool, limit time.Duration) error {
	if _, err := exec.LookPath("tclsh"); err != nil {
		return fmt.Errorf("NOT RUN: apt-get install tcl (the suite is written in it)")
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache := filepath.Join(base, "understudy", "conformance")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	archive, err := fetch(cache)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if server, err = binary(server, work); err != nil {
		return err
	}
	skips, err := readSkips(filepath.Join(dir, "skips"))
	if err != nil {
		return err
	}
	results := filepath.Join(dir, "results.txt")
	before, err := readResults(results)
	if err != nil {
		return err
	}
	if err := prepare(archive, work, server); err != nil {
		return err
	}
	logs := filepath.Join(cache, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	s := &suite{tree: work, skips: skips, limit: limit, logs: logs, large: large}
	fmt.Printf("%s against %s; full output in %s\n", filepath.Base(archive), server, logs)
	note := func([]outcome) error { return nil }
	if update { // after each file: what was seen stays when the run is broken off
		note = func(seen []outcome) error { return merge(results, before, seen) }
	}
	worse, err := s.runAll(only, before, note)
	if err != nil {
		return err
	}
	if len(worse) > 0 && !update {
		return fmt.Errorf("worse than %s:\n  %s", results, strings.Join(worse, "\n  "))
	}
	return nil
}

func (s *suite) runAll(only string, before map[string]expected, note func(seen []outcome) error) (worse []string, err error) {
	var seen []outcome
	for _, file := range files {
		if only != "" && !slices.Contains(strings.Split(only, ","), file) {
			continue
		}
		port, err := freePorts()
		if err != nil {
			return nil, err
		}
		o, err := s.runFile(file, port)
		if err != nil {
			return nil, err
		}
		table(os.Stdout, o)
		e, known := before[file]
		worse = append(worse, regressions(o, e, known)...)
		seen = append(seen, o)
		if err := note(seen); err != nil {
			return nil, err
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("no file named %q in the list", only)
	}
	return worse, nil
}

// binary returns the server to test as an absolute path, building ours when none is named.
func binary(server, work string) (string, error) {
	if server == "" {
		server = filepath.Join(work, "understudy-server")
		return server, run(".", "env", "CGO_ENABLED=0", "go", "build", "-o", server, "./server") // as it is shipped: a file asks ldd
	}
	path, err := exec.LookPath(server)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// freePorts finds the start of a port range that nobody uses now: the suite counts up from there. It lies below the
// range from which systems take ports for outgoing connections, which would get in the way at any moment.
func freePorts() (int, error) {
	for range 100 {
		port := 12000 + 400*rand.IntN(48) // a run takes 400
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 12000 and 31200")
}

// merge writes results.txt: what was seen now, and what stood there of the other files.
func merge(path string, before map[string]expected, seen []outcome) error {
	var b strings.Builder
	b.WriteString(resultsHead)
	for _, file := range files {
		i := slices.IndexFunc(seen, func(o outcome) bool { return o.file == file })
		if i >= 0 {
			table(&b, seen[i])
			continue
		}
		for _, line := range before[file].lines {
			fmt.Fprintln(&b, line)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

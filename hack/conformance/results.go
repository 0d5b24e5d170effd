package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// results.txt holds one line per file and, indented below it, the tests that fail and the reason why a file ended
// early. It is the expectation of the next run.

const resultsHead = "# file passed failed skipped seconds; below a file: what fails, and why it ended early.\n# Written by `go run ./hack/conformance -update`.\n"

func table(w io.Writer, o outcome) {
	fmt.Fprintf(w, "%-36s %5d passed %4d failed %4d skipped %5d s\n", o.file, o.passed, len(o.failed), o.skipped+o.ignore, o.seconds)
	failed := slices.Clone(o.failed)
	slices.Sort(failed)
	for _, name := range failed {
		fmt.Fprintf(w, "    fails: %s\n", name)
		if cause := o.causes[name]; cause != "" {
			fmt.Fprintf(w, "        %s\n", cause)
		}
	}
	if o.aborted != "" {
		fmt.Fprintf(w, "    ended early: %s\n", o.aborted)
	}
}

// expected is what results.txt says of one file.
type expected struct {
	failed  []string
	aborted bool
	lines   []string // as they stand
}

func readResults(path string) (map[string]expected, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return map[string]expected{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	all := map[string]expected{}
	current := ""
	for scan := bufio.NewScanner(file); scan.Scan(); {
		line := scan.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			current = strings.Fields(line)[0]
		}
		e := all[current]
		e.lines = append(e.lines, line)
		if name, ok := strings.CutPrefix(line, "    fails: "); ok {
			e.failed = append(e.failed, name)
		}
		if strings.HasPrefix(line, "    ended early: ") {
			e.aborted = true
		}
		all[current] = e
	}
	return all, nil
}

// regressions lists what is worse than expected.
func regressions(o outcome, e expected, known bool) []string {
	var worse []string
	for _, name := range o.failed {
		if !slices.Contains(e.failed, name) {
			worse = append(worse, o.file+": "+name)
		}
	}
	if o.aborted != "" && !(known && e.aborted) {
		worse = append(worse, o.file+" ended early: "+o.aborted)
	}
	return worse
}

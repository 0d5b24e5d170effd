package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // build output
	Elapsed                       float64
}

// summary gathers the results of all stages.
type summary struct {
	ci                      bool
	passed, failed, skipped int
	notRuns                 []string
	failures                []string
}

func newSummary(ci bool) *summary { return &summary{ci: ci} }

func (s *summary) notRun(where, why string) {
	s.notRuns = append(s.notRuns, where+": "+why)
	if s.ci {
		s.failed++
	}
}

func (s *summary) broken(where, why string) {
	s.failed++
	s.failures = append(s.failures, where+": "+why)
	fmt.Printf("   FAIL %s: %s\n", where, why)
}

// readEvents consumes the JSON lines of one stage. Output is kept per test until its verdict, so that
// only failures and NOT RUN reasons are shown.
func readEvents(r io.Reader, stage string, sum *summary) {
	kept := map[string][]string{}
	failedTests := map[string]bool{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil {
				sum.take(stage, e, kept, failedTests)
			} else {
				fmt.Print(string(line))
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *summary) take(stage string, e event, kept map[string][]string, failedTests map[string]bool) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print("   ", e.Output)
	case "output":
		kept[key] = append(kept[key], e.Output)
	case "pass":
		if e.Test != "" {
			s.passed++
		} else {
			fmt.Printf("   ok   %s (%.0f s)\n", e.Package, e.Elapsed)
		}
		delete(kept, key)
	case "skip":
		if e.Test == "" {
			delete(kept, key)
			return
		}
		s.skipped++
		if why := notRunReason(kept[key]); why != "" {
			s.notRun(stage+" "+key, why)
		}
		delete(kept, key)
	case "fail":
		s.fail(e, key, kept[key], failedTests)
		delete(kept, key)
	}
}

func (s *summary) fail(e event, key string, output []string, failedTests map[string]bool) {
	if e.Test == "" {
		if failedTests[e.Package] {
			return // its tests were counted
		}
		key = e.Package
	}
	failedTests[e.Package] = true
	s.failed++
	s.failures = append(s.failures, key)
	fmt.Printf("   FAIL %s\n", key)
	const most = 200
	if len(output) > most {
		output = output[len(output)-most:]
	}
	fmt.Print("   | ", strings.Join(output, "   | "))
}

func notRunReason(output []string) string {
	for _, line := range output {
		if _, why, ok := strings.Cut(line, "NOT RUN"); ok {
			return strings.TrimSpace(strings.TrimLeft(why, ": "))
		}
	}
	return ""
}

func (s *summary) print(w io.Writer) int {
	for _, f := range s.failures {
		fmt.Fprintf(w, "FAILED   %s\n", strings.SplitN(f, "\n", 2)[0])
	}
	for _, n := range s.notRuns {
		fmt.Fprintf(w, "NOT RUN  %s\n", n)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || s.passed == 0 {
		return 1
	}
	return 0
}

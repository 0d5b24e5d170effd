package main

import (
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// report is one result file.
type report struct {
	name, what string
	commit     string // of the source when the campaign began
	o          options
	facts      []string // rows of the table
	lines      []string // one per round that a reader wants to see
	where      string   // it ran; the cluster when empty
	took       time.Duration
	err        error
}

func newReport(root, name, what string, o options) *report {
	return &report{name: name, what: what, commit: commit(root), o: o}
}

func (r *report) file() string {
	if r.o.unfenced {
		return r.name + "-unfenced.md"
	}
	return r.name + ".md"
}

// fact adds a figure; budget is "" when there is none.
func (r *report) fact(what string, value any, budget string) {
	r.facts = append(r.facts, fmt.Sprintf("| %s | %v | %s |", what, value, budget))
}

func (r *report) line(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *report) finish(took time.Duration, err error) { r.took, r.err = took, err }

func (r *report) markdown() []byte {
	var b strings.Builder
	verdict := "held"
	if r.err != nil {
		verdict = "FAILED: " + strings.SplitN(r.err.Error(), "\n", 2)[0]
	}
	fmt.Fprintf(&b, "# %s: %s\n\nCommit %s, seed %d, %s, on %s. Verdict: %s.\n\n", r.name, r.what, r.commit, r.o.seed,
		r.took.Round(time.Second), cmp.Or(r.where, cores()), verdict)
	b.WriteString("| figure | value | budget |\n|---|---|---|\n")
	for _, f := range r.facts {
		b.WriteString(f + "\n")
	}
	if len(r.lines) > 0 {
		b.WriteString("\n```\n" + strings.Join(r.lines, "\n") + "\n```\n")
	}
	return []byte(b.String())
}

func commit(root string) string {
	out, err := exec.Command("git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func cores() string {
	out, _ := exec.Command("nproc").Output()
	return strings.TrimSpace(string(out)) + " cores, the whole cluster and the clients on them"
}

// spread is a sorted list of durations.
type spread []time.Duration

func (s spread) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(time.Millisecond)
}

func (s spread) median() time.Duration { return s.at(0.5) }
func (s spread) worst() time.Duration  { return s.at(1) }

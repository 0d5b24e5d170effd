package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// testRun is a test run and the lines of its output that are its figures.
type testRun struct {
	name, what string
	command    []string
	figures    *regexp.Regexp
}

// testRuns are the long forms of tests whose short forms are part of `make test`.
var testRuns = []testRun{{
	name: "interop",
	what: "Ours (O) and redis-server (R) at the head, in the middle and at the end of a chain in all ways but RRR, disk-backed and diskless: 20,000 keys of all " +
		"types and encodings, function libraries and expiries, random writes of every family, 200 cuts at random places of each chain. Each must end with equal digests at equal " +
		"offsets, equal libraries, and one full sync per link, the first.",
	command: []string{"go", "test", "./server/link", "-count=1", "-v", "-timeout", "60m", "-run", "^TestChainMatrix", "-chain.both", "-chain.cuts", "200", "-chain.keys", "20000"},
	figures: regexp.MustCompile(`^(\s*--- (PASS|FAIL)|\s+\S+_test\.go:\d+: )`),
}, {
	name: "differential",
	what: "Random conversations (every command that the generator knows, wrong words, transactions, scripts) with a redis-server and with ours for an hour, 20,000 " +
		"commands from each fresh seed. Equal are all replies, the data sets, their digests and the effects in the replication stream.",
	command: []string{"go", "test", "./server/servertest/diff", "-count=1", "-v", "-timeout", "2h", "-run", "^TestServerAgainstRedis$", "-seed", "0", "-for", "60m"},
	figures: seedFigures,
}, {
	name: "replicas",
	what: "Random commands for an hour through chains: ours <- ours, ours <- redis-server, redis-server <- ours <- ours, 20,000 commands from each fresh seed. After each the digests are equal " +
		"at equal offsets.",
	command: []string{"go", "test", "./server/servertest/diff", "-count=1", "-v", "-timeout", "2h", "-run", "^TestReplicas$", "-seed", "0", "-for", "60m"},
	figures: seedFigures,
}, {
	name: "history",
	what: "Clients of a managed set of three real processes read and write registers, counters and lists through the primary port of any member, while masters and replicas are killed, stopped, cut off " +
		"and starved of the stream, and masters change, each fault 30 times. With one synchronous replica the checker (porcupine) accepts every history and nothing acknowledged is lost (S6); without " +
		"the wait it rejects some, and what is lost, counted in elements of lists, is the end of a reign (S5).",
	command: []string{"go", "-C", "hack/history", "test", ".", "-count=1", "-v", "-timeout", "3h", "-run", "^TestHistories", "-rounds", "30"},
	figures: seedFigures,
}}

// seedFigures are the verdict and the last line of a test that goes through seeds, and what a seed found.
var seedFigures = regexp.MustCompile(`^(--- (PASS|FAIL)|\s+--- FAIL|\s+\S+_test\.go:\d+: )`)

// run runs the campaign and writes its page whatever the outcome; a failure is a result too.
func (c testRun) run() error {
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return fmt.Errorf("which commit is this? %w", err)
	}
	var out bytes.Buffer
	cmd := exec.Command(c.command[0], c.command[1:]...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, os.Stdout), os.Stderr
	began := time.Now()
	failed := cmd.Run()
	verdict := "passed"
	if failed != nil {
		verdict = "FAILED: " + failed.Error()
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Campaign: %s\n\n%s\n\n", c.name, c.what)
	fmt.Fprintf(&page, "- result: %s\n- commit: %s\n- took: %v\n- command: `%s`\n\n```\n", verdict, bytes.TrimSpace(commit),
		time.Since(began).Round(time.Second), strings.Join(c.command, " "))
	for line := range strings.Lines(out.String()) {
		if c.figures.MatchString(line) {
			page.WriteString(line)
		}
	}
	page.WriteString("```\n")
	path := filepath.Join("docs", "campaigns", c.name+".md")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
		return err
	}
	return failed
}

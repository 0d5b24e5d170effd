// Command testall is what `make test` runs: the suites in stages, one account at the end.
//
// Each stage is one `go test -json` call. Failed tests print their output when their package is done;
// passed ones print nothing. A test that cannot run on this machine skips with a message that starts
// with "NOT RUN" and names what to install: these are listed at the end, and are failures when CI is
// set, so that a missing tool never passes for a green suite. The last line is "N passed, N failed,
// N skipped"; the exit code is 1 when anything failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	only := flag.String("only", "", "comma separated stages to run; all when empty")
	wide := flag.Bool("wide", false, "run the wide stages, which need root or much time, instead of the usual ones")
	list := flag.Bool("list", false, "print the stages and leave")
	flag.Parse()
	if *list {
		for _, s := range stages() {
			fmt.Printf("%-10s %-5s %s\n", s.name, map[bool]string{true: "wide"}[s.wide], s.what)
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sum := newSummary(os.Getenv("CI") != "")
	for _, s := range stages() {
		if *only == "" && s.wide == *wide || contains(strings.Split(*only, ","), s.name) {
			s.run(ctx, sum)
		}
	}
	return sum.print(os.Stdout)
}

// stage is one call of go test. Missing returns why it cannot run here, or "".
type stage struct {
	name, what string
	dir        string // of the module; the repository's root when empty
	args       []string
	env        []string
	missing    func() string
	wide       bool // not part of `make test`
}

func stages() []stage {
	return []stage{
		{name: "arch", what: "the import rules", args: []string{"./hack/archtest/"}},
		{name: "server", what: "server and messages, plain build: budgets of allocation, interop with redis-server",
			args: []string{"./api/member/...", "./server/..."}, missing: missingRedis},
		{name: "race", what: "server, messages, planner and simulation under the race detector",
			args: []string{"-race", "-short", "./api/...", "./server/...", "./controllers/..."}, env: []string{"CGO_ENABLED=1"}, missing: missingCompiler},
		{name: "operator", what: "operator: planner, simulation, golden objects, suites on a real API server",
			args: []string{"./api/v1alpha1/...", "./controllers/...", "./config/...", "./charts/..."}, missing: missingAssets},
		{name: "tools", what: "the tools below hack/", args: []string{"./hack/..."}},
		{name: "clients", what: "a client library drives every family in RESP2 and RESP3, on ours and on redis-server", dir: "hack/clients", args: []string{"."}, missing: missingRedis},
		{name: "history", what: "a linearizability checker judges what clients of real processes saw while members were killed, stopped and cut off", dir: "hack/history", args: []string{"-count=1", "."}},
		{name: "sim", what: "20,000 seeds of the simulation, about three minutes: always the same, new ones are for `make campaign C=simulation`", wide: true,
			args: []string{"-count=1", "./controllers/simtest", "-run", "Seeds$", "-seed", "1802000000", "-seeds", "20000"}},
		{name: "e2e", what: "the operator on a real Kubernetes on this machine", wide: true, missing: missingRoot,
			args: []string{"-count=1", "-tags", "e2e", "./hack/e2e"}},
	}
}

func missingRedis() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis-server is missing: apt-get install redis-server redis-tools (the differential and interop tests compare with it)"
	}
	return ""
}

func missingCompiler() string {
	if _, err := exec.LookPath("gcc"); err != nil {
		return "a C compiler is missing: apt-get install gcc libc6-dev (the race detector needs cgo)"
	}
	return ""
}

func missingRoot() string {
	if os.Getuid() != 0 {
		return "the real cluster needs root: containers, network namespaces, control groups"
	}
	return ""
}

func missingAssets() string {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return "KUBEBUILDER_ASSETS is not set: run this through `make test`, which builds etcd and kube-apiserver"
	}
	return ""
}

func (s stage) run(ctx context.Context, sum *summary) {
	start := time.Now()
	fmt.Printf("== %s: %s\n", s.name, s.what)
	if s.missing != nil {
		if why := s.missing(); why != "" {
			sum.notRun(s.name, why)
			fmt.Printf("   NOT RUN: %s\n", why)
		}
	}
	args := append([]string{"test", "-json", "-timeout", "40m", "-p", fmt.Sprint(runtime.NumCPU())}, s.args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		sum.broken(s.name, err.Error())
		return
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		sum.broken(s.name, err.Error())
		return
	}
	failedBefore := sum.failed
	readEvents(out, s.name, sum)
	if err := cmd.Wait(); err != nil && sum.failed == failedBefore {
		sum.broken(s.name, fmt.Sprintf("go test: %v\n%s", err, stderr.String()))
	}
	fmt.Printf("   %s done in %s\n", s.name, time.Since(start).Round(time.Second))
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

package clients

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// mode is one of redis-cli's modes and what its output must have in common on both servers.
type mode struct {
	name  string
	args  []string
	stdin string
	same  func(out string) string // what is compared
}

var (
	summary = regexp.MustCompile(`(?m)^(Sampled .*|Total key length .*|Biggest .*|\d+ (strings|lists|hashs|sets|zsets|streams) with .*)$`)
	percent = regexp.MustCompile(`\[\d\d\.\d\d%\][^\n]*`)
	figures = regexp.MustCompile(`\d+(\.\d+)?`)
)

// sizes leaves out the lines in which a key was the biggest so far, which depend on the order of SCAN.
func sizes(out string) string {
	return strings.Join(summary.FindAllString(percent.ReplaceAllString(out, ""), -1), "\n")
}

// withoutFigures is for what the two servers count differently: bytes of memory, latencies, accesses.
func withoutFigures(out string) string { return figures.ReplaceAllString(sizes(out), "N") }

func sortedLines(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestModesOfRedisCli lets redis-cli look at the same data on both servers in each of its ways.
func TestModesOfRedisCli(t *testing.T) {
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("NOT RUN: apt-get install redis-tools")
	}
	var pipe strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&pipe, "*3\r\n$3\r\nSET\r\n$%d\r\npiped:%d\r\n$1\r\nv\r\n", len(fmt.Sprint("piped:", i)), i)
	}
	hot := regexp.MustCompile(`(?m)^hot key found with counter: \d+\tkeyname: "?hot"?$`)
	modes := []mode{
		{name: "bigkeys", args: []string{"--bigkeys"}, same: sizes},
		{name: "memkeys", args: []string{"--memkeys"}, same: withoutFigures},
		{name: "hotkeys", args: []string{"--hotkeys"}, same: func(out string) string { return fmt.Sprint(hot.MatchString(out)) }},
		{name: "scan", args: []string{"--scan", "--pattern", "string:*"}, same: sortedLines},
		{name: "latency", args: []string{"--latency", "-i", "1", "--raw"}, same: func(out string) string { return figures.ReplaceAllString(strings.TrimSpace(out), "N") }},
		{name: "pipe", args: []string{"--pipe"}, stdin: pipe.String(), same: func(out string) string { return out }},
		{name: "script", args: []string{"--eval", "/dev/stdin", "string:1", ",", "x"}, stdin: "return {KEYS[1], ARGV[1], redis.call('STRLEN', KEYS[1])}", same: func(out string) string { return out }},
		{name: "csv", args: []string{"--csv", "LRANGE", "list", "0", "3"}, same: func(out string) string { return out }},
		{name: "json", args: []string{"-3", "--json", "HGETALL", "small"}, same: func(out string) string { return out }},
	}
	servers := map[string]string{"ours": start(t, ours), "redis-server": start(t, "redis-server")}
	for _, addr := range servers {
		fillForCli(t, addr)
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			want, got := runCli(t, servers["redis-server"], m), runCli(t, servers["ours"], m)
			if m.same(want) != m.same(got) || strings.TrimSpace(m.same(want)) == "" {
				t.Errorf("redis-server:\n%s\nours:\n%s", want, got)
			}
		})
	}
	t.Run("functions-rdb", func(t *testing.T) {
		code := "#!lua name=kept\nredis.register_function('f', function() return 1 end)"
		for _, addr := range servers {
			runCli(t, addr, mode{args: []string{"-x", "FUNCTION", "LOAD"}, stdin: code})
			file := filepath.Join(t.TempDir(), "functions.rdb")
			runCli(t, addr, mode{args: []string{"--functions-rdb", file}})
			out, err := exec.Command("redis-check-rdb", file).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "0 keys read") || !strings.Contains(string(out), "\\o/ RDB looks OK! \\o/") {
				t.Errorf("redis-check-rdb: %v\n%s", err, out)
			}
			if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "register_function") {
				t.Errorf("the library is not in the file: %v", err)
			}
		}
	})
	t.Run("rdb", func(t *testing.T) {
		for _, addr := range servers {
			file := filepath.Join(t.TempDir(), "dump.rdb")
			runCli(t, addr, mode{args: []string{"--rdb", file}})
			out, err := exec.Command("redis-check-rdb", file).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "\\o/ RDB looks OK! \\o/") {
				t.Errorf("redis-check-rdb: %v\n%s", err, out)
			}
			if !strings.Contains(string(out), "2507 keys read") {
				t.Errorf("not all keys are in the file:\n%s", out)
			}
		}
	})
}

// TestEndlessModesOfRedisCli looks at what the modes without an end have said after a while.
func TestEndlessModesOfRedisCli(t *testing.T) {
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("NOT RUN: apt-get install redis-tools")
	}
	for name, program := range map[string]string{"ours": ours, "redis-server": "redis-server"} {
		addr := start(t, program)
		c := redis.NewClient(patient(redis.Options{Addr: addr}))
		defer c.Close()
		for _, m := range []struct {
			args []string
			wait *regexp.Regexp // until then it is let go on
		}{
			{[]string{"--stat", "-i", "0.1"}, regexp.MustCompile(`(?m)^\d+ +[\d.]+[BKMG] +\d+ +\d+ +\d+ \(\+\d+\)`)},
			{[]string{"--latency-history", "-i", "1"}, regexp.MustCompile(`(?m)^\d+ \d+ \d+\.\d+ \d+$`)},
			{[]string{"--latency-dist", "-i", "1"}, regexp.MustCompile(`\.01 \.125|0-9`)},
			{[]string{"--replica"}, regexp.MustCompile(`(?s)SYNC with master.*"set","watched","\d+"`)},
			{[]string{"MONITOR"}, regexp.MustCompile(`(?m)^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "set" "watched" "\d+"$`)},
			{[]string{"--csv", "SUBSCRIBE", "news"}, regexp.MustCompile(`"subscribe","news",1\r?\n"message","news","watched"`)},
		} {
			t.Run(name+"/"+m.args[0], func(t *testing.T) { endless(t, c, addr, m.args, m.wait) })
		}
	}
}

// endless runs a mode beside writes until its output matches.
func endless(t *testing.T, c *redis.Client, addr string, args []string, wait *regexp.Regexp) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	var text []byte
	for n, end := 0, time.Now().Add(within); time.Now().Before(end); n++ {
		c.Set(context.Background(), "watched", n, 0)
		c.Publish(context.Background(), "news", "watched")
		time.Sleep(50 * time.Millisecond)
		if text, err = os.ReadFile(file); err == nil && wait.Match(text) {
			return
		}
	}
	t.Errorf("redis-cli %v said:\n%.2000s", args, text)
}

func fillForCli(t *testing.T, addr string) {
	t.Helper()
	ctx := context.Background()
	c := redis.NewClient(patient(redis.Options{Addr: addr}))
	defer c.Close()
	p := c.Pipeline()
	p.ConfigSet(ctx, "maxmemory-policy", "allkeys-lfu") // --hotkeys wants it
	for i := range 500 {
		p.Set(ctx, fmt.Sprint("string:", i), strings.Repeat("x", i), 0)
		p.HSet(ctx, "hash", fmt.Sprint("f", i), i)
		p.RPush(ctx, "list", i)
		p.SAdd(ctx, "set", fmt.Sprint("m", i))
		p.ZAdd(ctx, "zset", redis.Z{Score: float64(i), Member: i})
		p.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []any{"k", i}})
	}
	p.HSet(ctx, "small", "f", "v")
	p.Set(ctx, "hot", "key", 0)
	for range 20000 {
		p.Get(ctx, "hot")
	}
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

func runCli(t *testing.T, addr string, m mode) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "redis-cli", append([]string{"-h", host, "-p", port}, m.args...)...)
	cmd.Stdin = strings.NewReader(m.stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", m.args, err, out)
	}
	return string(out)
}

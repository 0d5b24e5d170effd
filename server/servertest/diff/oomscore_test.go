package diff

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestOOMScore compares the mark by which the kernel chooses whom to kill.
func TestOOMScore(t *testing.T) {
	real, ours := servertest.StartRedis(t), servertest.StartProcess(t)
	score := func(c *servertest.Client) string {
		var pid string
		for line := range strings.Lines(string(c.Do("INFO", "server").Str)) {
			if v, ok := strings.CutPrefix(line, "process_id:"); ok {
				pid = strings.TrimSpace(v)
			}
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%s/oom_score_adj", pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	start := score(ours.Client)
	for _, args := range [][]string{
		{"CONFIG", "SET", "oom-score-adj-values", "10 20 30"},
		{"CONFIG", "SET", "oom-score-adj", "yes"},
		{"CONFIG", "SET", "oom-score-adj-values", "15 20 30"},
		{"REPLICAOF", "127.0.0.1", "1"},
		{"CONFIG", "SET", "oom-score-adj", "absolute"},
		{"REPLICAOF", "NO", "ONE"},
		{"CONFIG", "SET", "oom-score-adj-values", "2000 20 30"},
		{"CONFIG", "SET", "oom-score-adj-values", "10 20"},
		{"CONFIG", "SET", "oom-score-adj", "relative"},
		{"CONFIG", "SET", "oom-score-adj", "no"},
		{"CONFIG", "SET", "oom-score-adj-values", "33 44 55"},
	} {
		want, got := real.Do(args...), ours.Do(args...)
		if !Same(args, want, got) {
			t.Fatalf("%q\nredis-server: %s\nours:         %s", args, want, got)
		}
		if w, g := score(real.Client), score(ours.Client); w != g {
			t.Fatalf("after %q the score is %s, redis-server's %s", args, strings.TrimSpace(g), strings.TrimSpace(w))
		}
	}
	if end := score(ours.Client); end != start {
		t.Errorf("the score is %s at the end, was %s", end, start)
	}
}

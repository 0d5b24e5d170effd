package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

var (
	sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (\S+)$`)
	commentary = regexp.MustCompile(`^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (\S.*)$`)
)

// parseMetrics reads Prometheus' text format and refuses what a lenient reader would let pass: a name without HELP and TYPE in
// front of it, or in two places, a series told twice, a counter that is not called one.
func parseMetrics(text string) (map[string]float64, error) {
	out, kinds := map[string]float64{}, map[string]string{}
	name, help := "", ""
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("no line end: %q", line)
		}
		line = strings.TrimSuffix(line, "\n")
		if m := commentary.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "HELP" && kinds[m[2]] == "":
				help, name = m[2], ""
			case m[1] == "TYPE" && help == m[2] && (m[3] == "gauge" || m[3] == "counter"):
				name, kinds[m[2]] = m[2], m[3]
			default:
				return nil, fmt.Errorf("out of place: %q", line)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != name {
			return nil, fmt.Errorf("no sample of %q: %q", name, line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		counter := kinds[name] == "counter"
		if err != nil || counter != strings.HasSuffix(name, "_total") || counter && value < 0 {
			return nil, fmt.Errorf("bad %s: %q (%v)", kinds[name], line, err)
		}
		if _, twice := out[m[1]+m[2]]; twice {
			return nil, fmt.Errorf("told twice: %q", line)
		}
		out[m[1]+m[2]] = value
	}
	return out, nil
}

func scrape(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%v %s %v", err, r.Status, r.Header)
	}
	m, err := parseMetrics(string(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return m
}

// fresh is scrape of facts that were gathered since it was called: who cannot have the engine's lock soon is given older ones.
func fresh(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	asked := time.Now()
	for time.Since(asked) < 20*time.Second {
		m := scrape(t, addr)
		if age, ok := m["understudy_data_age_seconds"]; ok && age < time.Since(asked).Seconds() && m["understudy_memory_used_bytes"] > 0 {
			return m
		}
	}
	t.Fatal("no fresh facts")
	return nil
}

func mustShow(t *testing.T, who string, m map[string]float64, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got, ok := m["understudy_"+name]; !ok || got != v {
			t.Errorf("%s: %s is %v (told: %v), want %v", who, name, got, ok, v)
		}
	}
}

// TestMetricsOfMembers reads /metrics of a master and its replica strictly.
func TestMetricsOfMembers(t *testing.T) {
	ca := pki.New(t)
	a, b := startPod(t, ca, "a", "--save", ""), startPod(t, ca, "b", "--save", "")
	la, lb := a.meet(""), b.meet("")
	if m := scrape(t, a.http); m[`understudy_role{role="Parked"}`] != 1 || m["understudy_lease_remaining_seconds"] != 0 {
		t.Errorf("parked: %v", m)
	}
	mustBe[member.Adopted](t, la.ask(member.Adopt{Order: la.order(4)}))
	promote(la, 4, roster(1, "a", "b"))
	mustBe[member.Done](t, lb.ask(member.Follow{Order: lb.order(4), Upstream: la.upstream(), Master: la.inc(), MasterPod: "uid-a"}))
	la.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := a.client()
	for i := range 10 {
		c.do("SET", fmt.Sprint("k", i), "v")
	}
	if got := c.do("WAIT", "1", "5000"); got != "(integer) 1" {
		t.Fatalf("WAIT: %s", got)
	}
	if got := b.client().do("SET", "k", "v"); !strings.Contains(got, "READONLY") {
		t.Fatalf("a write to the replica: %s", got)
	}
	m := fresh(t, a.http)
	mustShow(t, "master", m, map[string]float64{"up": 1, `role{role="Master"}`: 1, `role{role="Replica"}`: 0, "term": 4, "writable": 1,
		"connected_replicas": 1, "full_syncs_served_total": 1, "link_up": 0, "link_down_seconds": 0, `keys{db="0"}`: 10, "guard_trips_total": 0,
		"writes_rejected_total": 0, "loading": 0, "memory_max_bytes": 0})
	lag := fmt.Sprintf(`understudy_replica_lag_bytes{replica="127.0.0.1:%d"}`, b.dataPort)
	if _, ok := m[lag]; !ok || m["understudy_lease_remaining_seconds"] <= 0 || m["understudy_lease_remaining_seconds"] > longLease.Seconds() ||
		m["understudy_replication_offset"] == 0 || m["understudy_commands_total"] < 10 || m["understudy_memory_used_bytes"] == 0 ||
		m["understudy_connected_clients"] < 1 || time.Since(time.Unix(int64(m["understudy_last_save_timestamp_seconds"]), 0)) > time.Minute {
		t.Errorf("master: %v", m)
	}
	replica := fresh(t, b.http)
	mustBeDocumented(t, m, replica)
	mustShow(t, "replica", replica, map[string]float64{`role{role="Replica"}`: 1, "writable": 0, "link_up": 1, "in_sync": 1,
		"full_syncs_loaded_total": 1, `keys{db="0"}`: 10, "writes_rejected_total": 1, "lease_remaining_seconds": 0})
}

// mustBeDocumented compares the names with docs/metrics.md, both ways.
func mustBeDocumented(t *testing.T, all ...map[string]float64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented, told := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(understudy_[a-z_]+)` ").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	for _, m := range all {
		for series := range m {
			if name, _, _ := strings.Cut(series, "{"); strings.HasPrefix(name, "understudy_") {
				told[name] = true
			}
		}
	}
	for name := range told {
		if !documented[name] {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
	for name := range documented {
		if !told[name] {
			t.Errorf("docs/metrics.md has %s, which nobody tells", name)
		}
	}
}

// TestProbesOfAStandaloneServer: http-addr needs no supervisor.
func TestProbesOfAStandaloneServer(t *testing.T) {
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := startAlone(t, shortDir(t), "--http-addr", addr, "--enable-debug-command", "local")
	s.do("SELECT", "2")
	s.do("SET", "k", "v")
	mustShow(t, "master", fresh(t, addr), map[string]float64{"up": 1, `role{role="Master"}`: 1, "writable": 1, `keys{db="0"}`: 0, `keys{db="2"}`: 1})
	status := func(path string) int {
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	if status("/livez") != 200 || status("/readyz") != 200 {
		t.Errorf("livez %d, readyz %d of a master", status("/livez"), status("/readyz"))
	}
	s.do("REPLICAOF", "127.0.0.1", "1")
	if status("/livez") != 200 || status("/readyz") != 503 {
		t.Errorf("livez %d, readyz %d of a replica without its master", status("/livez"), status("/readyz"))
	}
	mustShow(t, "replica", scrape(t, addr), map[string]float64{`role{role="Replica"}`: 1, "writable": 0, "link_up": 0})
	slept := make(chan string, 1)
	go func() { slept <- s.do("DEBUG", "SLEEP", "3") }()
	for age := 0.0; age < 0.5; { // older than they become where nobody holds the lock
		age = scrape(t, addr)["understudy_data_age_seconds"]
		select {
		case got := <-slept:
			t.Fatalf("nothing was told while the server was held: age %v, DEBUG SLEEP: %s", age, got)
		default:
		}
	}
	if got := <-slept; got != "OK" {
		t.Errorf("DEBUG SLEEP: %s", got)
	}
}

func TestTheParserOfThisTestIsStrict(t *testing.T) {
	ok := "# HELP a b c\n# TYPE a gauge\na 1\na{x=\"y\"} 2\n"
	if m, err := parseMetrics(ok); err != nil || m[`a{x="y"}`] != 2 {
		t.Fatalf("%v %v", m, err)
	}
	for _, bad := range []string{"a 1\n", "# TYPE a gauge\na 1\n", ok + "a 3\n", ok + ok, ok + "b 1\n", "# HELP a b\n# TYPE a counter\na 1\n",
		"# HELP a_total b\n# TYPE a_total gauge\na_total 1\n", "# HELP a b\n# TYPE a gauge\na x\n", strings.TrimSuffix(ok, "\n")} {
		if _, err := parseMetrics(bad); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

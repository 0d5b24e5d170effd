package manage

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Metric is one sample in Prometheus' text format.
type Metric struct {
	Name, Help, Type string
	Labels           string // `role="master"`, "" for none
	Value            float64
}

// Probes answers /livez, /readyz and /metrics. None of them waits for the engine's lock, and none tells a
// secret.
func Probes(ready func() (bool, string), metrics func() []Metric) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ok, why := ready()
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, why)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		fmt.Fprint(w, FormatMetrics(append(metrics(), processMetrics()...)))
	})
	return mux
}

// HTTPServer serves Probes with limits that keep idle or slow callers cheap.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
}

// FormatMetrics writes samples; those of one name must stand together.
func FormatMetrics(list []Metric) string {
	var b strings.Builder
	last := ""
	for _, m := range list {
		if m.Name != last {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.Name, strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(m.Help), m.Name, m.Type)
			last = m.Name
		}
		labels := m.Labels
		if labels != "" {
			labels = "{" + labels + "}"
		}
		fmt.Fprintf(&b, "%s%s %g\n", m.Name, labels, m.Value)
	}
	return b.String()
}

func processMetrics() []Metric {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return []Metric{
		{Name: "go_goroutines", Help: "Goroutines that exist.", Type: "gauge", Value: float64(runtime.NumGoroutine())},
		{Name: "go_memstats_heap_inuse_bytes", Help: "Bytes in heap spans in use.", Type: "gauge", Value: float64(mem.HeapInuse)},
	}
}

// RoleMetrics are what every server says of its role: "Master", "Replica" or "Parked".
func RoleMetrics(role string, writable bool, offset int64) []Metric {
	var out []Metric
	for _, r := range []string{"Parked", "Replica", "Master"} {
		out = append(out, Metric{Name: "understudy_role", Help: "1 for the present role.", Type: "gauge", Labels: `role="` + r + `"`, Value: flag(role == r)})
	}
	return append(out,
		Metric{Name: "understudy_writable", Help: "1 while writes are accepted.", Type: "gauge", Value: flag(writable)},
		Metric{Name: "understudy_replication_offset", Help: "Replication offset, as applied.", Type: "gauge", Value: float64(offset)})
}

// Metrics of a member's role. App adds those of the data set.
func (d *Driver) Metrics() []Metric {
	r := d.Report()
	inSync := r.Role == member.RoleMaster || r.Link != nil && r.Link.InSync
	return append(RoleMetrics(string(r.Role), r.Writable, r.Data.Offset),
		Metric{Name: "understudy_term", Help: "Highest term adopted.", Type: "gauge", Value: float64(r.Term)},
		Metric{Name: "understudy_lease_remaining_seconds", Help: "For how long a master may write without another lease or voucher; 0 when it is none.", Type: "gauge",
			Value: d.remaining().Seconds()},
		Metric{Name: "understudy_in_sync", Help: "1 for a master and for a replica that has caught up with it.", Type: "gauge", Value: flag(inSync)},
		Metric{Name: "understudy_whole", Help: "1 when nothing is missing of what this member ever held.", Type: "gauge", Value: flag(r.Data.Whole)},
		Metric{Name: "understudy_persisted", Help: "1 when a durable copy exists.", Type: "gauge", Value: flag(r.Persisted)},
		Metric{Name: "understudy_divergent_tail", Help: "1 while a file is kept with writes that only this member had.", Type: "gauge", Value: flag(r.Divergent != "")})
}

// remaining is how long the gate stays open if nothing comes; +Inf seconds would say nothing to a graph, so a master that
// needs no promise has a day.
func (d *Driver) remaining() time.Duration {
	until := d.gate.Deadline()
	if until == 0 {
		return 0
	}
	return min(max(time.Duration(until)-d.clock(), 0), 24*time.Hour)
}

// GuardTrips counts the handshakes that the guard of this member's data refused (S2).
func (d *Driver) GuardTrips() int64 { return d.trips.Load() }

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

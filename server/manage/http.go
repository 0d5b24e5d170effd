package manage

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"
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

// Metrics of the member's role. App adds those of the data set.
func (d *Driver) Metrics() []Metric {
	r := d.Report()
	out := []Metric{{Name: "understudy_term", Help: "Highest term adopted.", Type: "gauge", Value: float64(r.Term)}}
	for _, role := range []string{"Parked", "Replica", "Master"} {
		out = append(out, Metric{Name: "understudy_role", Help: "1 for the present role.", Type: "gauge", Labels: `role="` + role + `"`, Value: flag(string(r.Role) == role)})
	}
	return append(out,
		Metric{Name: "understudy_writable", Help: "1 while writes are accepted.", Type: "gauge", Value: flag(r.Writable)},
		Metric{Name: "understudy_offset", Help: "Replication offset, as applied.", Type: "gauge", Value: float64(r.Data.Offset)},
		Metric{Name: "understudy_link_up", Help: "1 while a replica's link is in the stream.", Type: "gauge", Value: flag(r.Link != nil && r.Link.Up)},
		Metric{Name: "understudy_full_syncs_total", Help: "Full syncs loaded by this process.", Type: "counter", Value: float64(r.FullSyncs)},
		Metric{Name: "understudy_persisted", Help: "1 when a durable copy exists.", Type: "gauge", Value: flag(r.Persisted)})
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

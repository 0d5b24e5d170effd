package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/manage"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/supervise"
)

// dataFacts are what can only be read with the engine's lock held.
type dataFacts struct {
	at             time.Time
	keys           map[int]int // by database, the empty ones left out
	used           int64
	totals         engine.Totals
	writesRejected int64
	lastSave       int64 // unix seconds
	unsaved        int64
}

// factsWait is for how long a reader of /metrics waits for fresh facts. When the lock is not to be had (a long script), it
// gets the last ones with their age.
const factsWait = 250 * time.Millisecond

// facts gathers dataFacts, at most one gathering at a time.
type facts struct {
	gather func() dataFacts

	mu      sync.Mutex
	last    dataFacts
	pending chan struct{} // closed when the gathering under way is done; nil: none is
}

func (f *facts) read() dataFacts {
	f.mu.Lock()
	if f.pending == nil {
		done := make(chan struct{})
		f.pending = done
		go func() {
			got := f.gather()
			f.mu.Lock()
			defer f.mu.Unlock()
			f.last, f.pending = got, nil
			close(done)
		}()
	}
	done := f.pending
	f.mu.Unlock()
	select {
	case <-done:
	case <-time.After(factsWait):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (a *App) gatherFacts() dataFacts {
	d := dataFacts{keys: map[int]int{}}
	a.Engine.Exclusive(func() {
		for i := range a.Store.Databases() {
			if n := a.Store.DB(i).Len(); n > 0 {
				d.keys[i] = n
			}
		}
		d.used, d.totals = a.Store.UsedBytes(), a.Engine.Totals()
		d.lastSave, d.unsaved = a.saver.LastSave(), a.Engine.Dirty()
		a.Engine.Commands(func(cmd *command.Cmd, s engine.CommandStats) {
			if cmd.IsWrite() {
				d.writesRejected += s.Rejected
			}
		})
	})
	d.at = time.Now()
	return d
}

// samples grows a list of metrics; those of one name must follow each other.
type samples []manage.Metric

func (s *samples) gauge(name, help string, v float64) { s.add("gauge", name, help, "", v) }
func (s *samples) count(name, help string, v int64)   { s.add("counter", name, help, "", float64(v)) }

func (s *samples) add(kind, name, help, labels string, v float64) {
	*s = append(*s, manage.Metric{Name: "understudy_" + name, Help: help, Type: kind, Labels: labels, Value: v})
}

func truth(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// metrics is what /metrics says. It never waits long for the engine's lock.
func (a *App) metrics() []manage.Metric {
	var s samples
	s.gauge("up", "1 while the server answers.", 1)
	s.add("gauge", "info", "1, with the version.", `version="`+Version+`"`, 1)
	if a.member != nil {
		s = append(s, a.member.driver.Metrics()...)
	} else {
		s = append(s, a.standaloneRole()...)
	}
	s.replication(a)
	s.primary(a)
	s.data(a, a.facts.read())
	return s
}

func (a *App) standaloneRole() []manage.Metric {
	st, state := a.node.Status(), a.Engine.State()
	role := "Replica"
	if st.Master {
		role = "Master"
	}
	writable := state&(engine.Loading|engine.DiskError) == 0 && (st.Master || state&engine.ReadOnly == 0)
	return manage.RoleMetrics(role, writable, a.node.Offset())
}

func (s *samples) replication(a *App) {
	st, c, replicas := a.node.Status(), a.node.Counters(), a.node.Replicas()
	s.gauge("connected_replicas", "Replicas that get the stream from this server.", float64(st.Replicas))
	for _, r := range replicas {
		s.add("gauge", "replica_lag_bytes", "Bytes of the stream that a replica has not acknowledged.", replicaLabel(r.Addr), float64(r.Bytes))
	}
	for _, r := range replicas {
		if r.Online {
			s.add("gauge", "replica_lag_seconds", "Time since a replica's last acknowledgement.", replicaLabel(r.Addr), r.Silent.Seconds())
		}
	}
	s.gauge("link_up", "1 while the link to the upstream is in the stream.", truth(st.LinkUp))
	s.gauge("link_down_seconds", "Time since a replica's link to its upstream went down, 0 while it is up and without an upstream.", st.DownFor.Seconds())
	s.gauge("link_silent_seconds", "Time since something came from the upstream, while the link is up.", st.Silent.Seconds())
	s.gauge("link_syncing", "1 while a full sync is on its way in.", truth(st.Syncing))
	s.count("full_syncs_loaded_total", "Full syncs that this server has loaded.", c.FullLoaded)
	s.count("full_syncs_served_total", "Full syncs that replicas were given.", c.FullServed)
	s.count("partial_syncs_served_total", "Partial resyncs that replicas were given.", c.PartialServed)
	s.count("partial_syncs_refused_total", "Partial resyncs that replicas asked for and did not get.", c.PartialRefused)
	trips := c.GuardTrips
	if a.member != nil {
		trips += a.member.driver.GuardTrips()
	}
	s.count("guard_trips_total", "Times that older or unrelated data was not fed, or not loaded.", trips)
	s.gauge("guard_keeps_data", "1 while the guard keeps this replica's data from a full sync.", truth(st.Kept != ""))
}

func replicaLabel(addr string) string { return "replica=" + strconv.Quote(addr) }

func (s *samples) data(a *App, d dataFacts) {
	if !d.at.IsZero() {
		for i := range a.Store.Databases() {
			if n, ok := d.keys[i]; ok || i == 0 {
				s.add("gauge", "keys", "Keys by database; empty databases but the first are left out.", fmt.Sprintf(`db="%d"`, i), float64(n))
			}
		}
		s.gauge("memory_used_bytes", "Memory that the data set uses (used_memory).", float64(d.used))
		s.count("commands_total", "Commands executed.", d.totals.Commands)
		s.count("errors_total", "Error replies.", d.totals.Errors)
		s.count("writes_rejected_total", "Write commands refused before they were executed: no right to write, read-only, out of memory, too few replicas, failed saves.", d.writesRejected)
		s.count("keyspace_hits_total", "Reads that found their key.", d.totals.Hits)
		s.count("keyspace_misses_total", "Reads that did not.", d.totals.Misses)
		s.count("expired_keys_total", "Keys that expired.", d.totals.Expired)
		s.count("evicted_keys_total", "Keys evicted for memory.", d.totals.Evicted)
		s.gauge("last_save_timestamp_seconds", "Unix time of the last successful save, of the start when there was none.", float64(d.lastSave))
		s.gauge("unsaved_changes", "Changes since the last successful save.", float64(d.unsaved))
		s.gauge("data_age_seconds", "Age of keys, memory, commands and saves as told here: they need the server's lock.", time.Since(d.at).Seconds())
	}
	s.add("counter", "collector_cpu_seconds_total", "Processor time spent on garbage collection, as of the latest one.", "", collectorSpent())
	u, state := a.Sessions.Usage(), a.Engine.State()
	s.gauge("memory_max_bytes", "maxmemory, 0 for no limit.", float64(a.Settings.Int(settings.MaxMemory)))
	s.gauge("loading", "1 while a data set is loaded in place.", truth(state&engine.Loading != 0))
	s.gauge("save_failed", "1 while writes are refused because the last save failed.", truth(state&engine.DiskError != 0))
	s.gauge("connected_clients", "Client connections.", float64(u.Clients))
	s.count("connections_total", "Client connections accepted.", u.Accepted)
	s.count("connections_rejected_total", "Client connections refused at the door.", u.Rejected)
	s.count("net_input_bytes_total", "Bytes read from clients.", u.In)
	s.count("net_output_bytes_total", "Bytes written to clients.", u.Out)
}

// ready is /readyz of a server that nobody manages: a master that has its data, or a replica in sync.
func (a *App) ready() (ok bool, why string) {
	st := a.node.Status()
	switch {
	case a.Engine.Is(engine.Loading):
		return false, "loading"
	case st.Master:
		return true, "master"
	case st.LinkUp:
		return true, "replica in sync"
	}
	return false, "replica that is not in sync"
}

// listenHTTP serves the probes of a server without a supervisor, from before the data is loaded.
func (a *App) listenHTTP() error {
	addr := a.Settings.String(settings.HTTPAddr)
	if addr == "" || a.member != nil || supervise.Supervised() {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("http-addr: %w", err)
	}
	a.probes = manage.HTTPServer(manage.Probes(a.ready, a.metrics))
	a.work.Go(func() {
		if err := a.probes.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.logger.Warningf("http-addr: %v", err)
		}
	})
	return nil
}

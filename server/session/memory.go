package session

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

func (srv *Server) attachMemory() {
	for name, h := range map[string]command.Handler{
		"stats": srv.memoryStats, "doctor": srv.memoryDoctor, "purge": srv.memoryPurge, "malloc-stats": srv.memoryMallocStats,
	} {
		srv.e.Table.Attach("memory|"+name, h)
	}
}

// memoryReport is what INFO memory and MEMORY show.
type memoryReport struct {
	engine.MemoryUse
	used, peak  int64
	tables      int64 // of all databases
	overhead    int64 // what is neither key nor value
	dataset     int64
	keys        int64
	heap        heapFigures
	allocated   int64 // by the store and on the heap
	active      int64 // pages of both that are in use
	resident    int64 // what both have from the system
	rss         int64
	notForEvict int64
}

// report gathers the figures. The engine's lock must be held exclusively.
func (srv *Server) report() (r memoryReport) {
	st := srv.e.Store()
	r.MemoryUse = srv.e.MemoryUse()
	r.used = r.Total()
	srv.peakUsed = max(srv.peakUsed, r.used)
	r.peak = srv.peakUsed
	for i := range st.Databases() {
		r.tables += st.DB(i).TableBytes()
		r.keys += int64(st.DB(i).Len())
	}
	r.overhead = r.used - r.Data + r.tables
	r.dataset = r.used - r.overhead
	r.heap.read()
	r.allocated = st.UsedBytes() + r.heap.objects
	r.active = st.TouchedBytes() + r.heap.inUse
	r.resident = max(st.TouchedBytes()+r.heap.held, r.active)
	r.rss = max(ResidentBytes(), 1)
	r.notForEvict = r.Readers
	return r
}

// heapFigures are the Go runtime's: bytes of objects, of the pages that hold them, and of all that it has from the system.
type heapFigures struct{ objects, inUse, held int64 }

func (h *heapFigures) read() {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	h.objects = int64(s[0].Value.Uint64())
	h.inUse = h.objects + int64(s[1].Value.Uint64())
	h.held = int64(s[2].Value.Uint64() - s[3].Value.Uint64())
}

func ratio(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }

func (srv *Server) memoryStats(ctx *command.Ctx) {
	r, w, st := srv.report(), ctx.Out, srv.e.Store()
	mark, n := w.DeferArray(), 0
	integer := func(name string, v int64) { w.BulkString(name); w.Int(v); n++ }
	double := func(name string, v float64) { w.BulkString(name); w.Double(v); n++ }
	integer("peak.allocated", r.peak)
	integer("total.allocated", r.used)
	integer("startup.allocated", srv.startUsed)
	integer("replication.backlog", r.Backlog)
	integer("clients.slaves", r.Readers)
	integer("clients.normal", r.Clients)
	integer("cluster.links", 0)
	integer("aof.buffer", 0)
	integer("lua.caches", r.Code)
	integer("functions.caches", 0)
	for i := range st.Databases() {
		db := st.DB(i)
		if db.Len() == 0 {
			continue
		}
		w.BulkString("db." + itoa(i))
		w.Map(3)
		for _, f := range []struct {
			name string
			v    int64
		}{{"main", db.TableBytes()}, {"expires", 0}, {"slot-to-keys", 0}} {
			w.BulkString("overhead.hashtable." + f.name)
			w.Int(f.v)
		}
		n++
	}
	integer("overhead.total", r.overhead)
	integer("keys.count", r.keys)
	integer("keys.bytes-per-key", (r.used-srv.startUsed)/max(r.keys, 1)*min(r.keys, 1))
	integer("dataset.bytes", r.dataset)
	double("dataset.percentage", percent(r.dataset, r.used-srv.startUsed))
	double("peak.percentage", percent(r.used, r.peak))
	integer("allocator.allocated", r.allocated)
	integer("allocator.active", r.active)
	integer("allocator.resident", r.resident)
	double("allocator-fragmentation.ratio", ratio(r.active, r.allocated))
	integer("allocator-fragmentation.bytes", r.active-r.allocated)
	double("allocator-rss.ratio", ratio(r.resident, r.active))
	integer("allocator-rss.bytes", r.resident-r.active)
	double("rss-overhead.ratio", ratio(r.rss, r.resident))
	integer("rss-overhead.bytes", r.rss-r.resident)
	double("fragmentation", ratio(r.rss, r.used))
	integer("fragmentation.bytes", r.rss-r.used)
	w.SetMapLen(mark, n)
}

// What MEMORY DOCTOR finds worth saying; the thresholds are Redis's.
const (
	doctorSmall   = 5 << 20
	doctorPeak    = 1.5
	doctorFrag    = 1.4
	doctorBytes   = 10 << 20
	doctorClient  = 200 << 10
	doctorReplica = 10 << 20
	doctorScripts = 1000
)

func (srv *Server) memoryDoctor(ctx *command.Ctx) {
	r := srv.report()
	var out strings.Builder
	switch {
	case r.used < doctorSmall:
		out.WriteString("There is next to nothing in memory: whatever could be said about it would not mean much. Ask again when there is data.\n")
	default:
		srv.diagnose(&out, &r)
		if out.Len() == 0 {
			out.WriteString("Nothing about this server's memory stands out.\n")
		}
	}
	ctx.Out.Verbatim("txt", out.String())
}

func (srv *Server) diagnose(out *strings.Builder, r *memoryReport) {
	say := func(when bool, format string, args ...any) {
		if when {
			fmt.Fprintf(out, " * "+format+"\n\n", args...)
		}
	}
	clients := int64(max(srv.Count(), 1))
	say(ratio(r.peak, r.used) > doctorPeak, "Peak: at its peak the server used %s, %.1f times what it uses now. What the system gave it then may still be resident.", human(r.peak), ratio(r.peak, r.used))
	say(ratio(r.rss, r.used) > doctorFrag && r.rss-r.used > doctorBytes, "Resident memory: %s are resident for %s in use. Garbage of the runtime and free slots in pages of the store make the difference; MEMORY PURGE gives back what can be given back.", human(r.rss), human(r.used))
	say(r.Clients/clients > doctorClient, "Clients: each takes %s on average. CLIENT LIST shows in tot-mem which; client-output-buffer-limit and maxmemory-clients bound it.", human(r.Clients/clients))
	say(r.Readers > doctorReplica, "Replicas: %s of the stream are held for those that are behind.", human(r.Readers))
}

// memoryPurge frees what was detached, collects garbage and gives free pages back. It takes as long as that takes.
func (srv *Server) memoryPurge(ctx *command.Ctx) {
	go debug.FreeOSMemory() // a collection of the whole heap: nobody should wait for it
	ctx.Out.OK()
}

func (srv *Server) memoryMallocStats(ctx *command.Ctx) {
	r := srv.report()
	st := srv.e.Store()
	pending, freed := st.Lazy()
	var out strings.Builder
	out.WriteString("Memory is kept by two allocators: pages of the store, outside of the heap, and the Go runtime's.\n")
	for _, f := range []struct {
		name  string
		bytes int64
	}{
		{"store: slots, tables and values in use", st.UsedBytes()}, {"store: pages in use", st.TouchedBytes()},
		{"heap: objects", r.heap.objects}, {"heap: pages in use", r.heap.inUse}, {"runtime: from the system", r.heap.held}, {"resident", r.rss},
	} {
		fmt.Fprintf(&out, "%-40s %14d\n", f.name, f.bytes)
	}
	fmt.Fprintf(&out, "%-40s %14d\n%-40s %14d\n", "values and keys waiting to be freed", pending, "values and keys freed in the background", freed)
	ctx.Out.Verbatim("txt", out.String())
}

// infoMemory writes INFO's section.
func (srv *Server) infoMemory(w *engine.InfoWriter) {
	r := srv.report()
	w.Field("used_memory", r.used)
	w.Field("used_memory_human", human(r.used))
	w.Field("used_memory_rss", r.rss)
	w.Field("used_memory_rss_human", human(r.rss))
	w.Field("used_memory_peak", r.peak)
	w.Field("used_memory_peak_human", human(r.peak))
	w.Fieldf("used_memory_peak_perc", "%.2f%%", percent(r.used, r.peak))
	w.Field("used_memory_overhead", r.overhead)
	w.Field("used_memory_startup", srv.startUsed)
	w.Field("used_memory_dataset", r.dataset)
	w.Fieldf("used_memory_dataset_perc", "%.2f%%", percent(r.dataset, r.used-srv.startUsed))
	w.Field("allocator_allocated", r.allocated)
	w.Field("allocator_active", r.active)
	w.Field("allocator_resident", r.resident)
	w.Field("total_system_memory", systemMemory())
	w.Field("total_system_memory_human", human(systemMemory()))
	srv.infoCode(w, r.Code)
	srv.infoLimits(w, &r)
}

// infoLimits tells of maxmemory, of what the system holds beyond, and of buffers.
func (srv *Server) infoLimits(w *engine.InfoWriter, r *memoryReport) {
	limit := srv.cfg.Int(settings.MaxMemory)
	w.Field("maxmemory", limit)
	w.Field("maxmemory_human", human(limit))
	w.Field("maxmemory_policy", srv.cfg.EnumName(settings.MaxMemoryPolicy))
	w.Fieldf("allocator_frag_ratio", "%.2f", ratio(r.active, r.allocated))
	w.Field("allocator_frag_bytes", r.active-r.allocated)
	w.Fieldf("allocator_rss_ratio", "%.2f", ratio(r.resident, r.active))
	w.Field("allocator_rss_bytes", r.resident-r.active)
	w.Fieldf("rss_overhead_ratio", "%.2f", ratio(r.rss, r.resident))
	w.Field("rss_overhead_bytes", r.rss-r.resident)
	w.Fieldf("mem_fragmentation_ratio", "%.2f", ratio(r.rss, r.used))
	w.Field("mem_fragmentation_bytes", r.rss-r.used)
	w.Field("mem_not_counted_for_evict", r.notForEvict)
	w.Field("mem_replication_backlog", r.Backlog)
	w.Field("mem_total_replication_buffers", r.Backlog+r.Readers)
	w.Field("mem_clients_slaves", r.Readers)
	w.Field("mem_clients_normal", r.Clients)
	w.Field("mem_cluster_links", 0)
	w.Field("mem_aof_buffer", 0)
	w.Field("mem_allocator", "go")
	w.Field("active_defrag_running", 0)
	pending, freed := srv.e.Store().Lazy()
	w.Field("lazyfree_pending_objects", pending)
	w.Field("lazyfreed_objects", freed-srv.before.freed)
}

// infoCode tells of scripts and functions, whose memory is not told apart: the interpreters' is the Go runtime's.
func (srv *Server) infoCode(w *engine.InfoWriter, code int64) {
	for _, name := range []string{"used_memory_lua", "used_memory_vm_eval"} {
		w.Field(name, 0)
	}
	w.Field("used_memory_lua_human", human(0))
	w.Field("used_memory_scripts_eval", code)
	scripts, functions, libraries := srv.e.CodeCounts()
	w.Field("number_of_cached_scripts", scripts)
	w.Field("number_of_functions", functions)
	w.Field("number_of_libraries", libraries)
	w.Field("used_memory_vm_functions", 0)
	w.Field("used_memory_vm_total", 0)
	w.Field("used_memory_vm_total_human", human(0))
	w.Field("used_memory_functions", 0)
	w.Field("used_memory_scripts", code)
	w.Field("used_memory_scripts_human", human(code))
}

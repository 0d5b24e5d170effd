package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

func (srv *Server) attachLatency() {
	for name, h := range map[string]command.Handler{
		"latest": srv.latencyLatest, "history": srv.latencyHistory, "reset": srv.latencyReset, "graph": srv.latencyGraph,
		"doctor": srv.latencyDoctor, "histogram": srv.latencyHistogram, "help": latencyHelp,
	} {
		srv.e.Table.Attach("latency|"+name, h)
	}
}

func (srv *Server) latencyLatest(ctx *command.Ctx) {
	spikes := srv.e.Spikes()
	names := spikes.Names()
	ctx.Out.Array(len(names))
	for _, name := range names {
		samples, longest := spikes.Of(name)
		last := samples[len(samples)-1]
		ctx.Out.Array(4)
		ctx.Out.BulkString(name)
		ctx.Out.Int(last.Unix)
		ctx.Out.Int(last.Millis)
		ctx.Out.Int(longest)
	}
}

func (srv *Server) latencyHistory(ctx *command.Ctx) {
	samples, _ := srv.e.Spikes().Of(string(ctx.Args[2]))
	ctx.Out.Array(len(samples))
	for _, s := range samples {
		ctx.Out.Array(2)
		ctx.Out.Int(s.Unix)
		ctx.Out.Int(s.Millis)
	}
}

func (srv *Server) latencyReset(ctx *command.Ctx) {
	var names []string
	for _, a := range ctx.Args[2:] {
		names = append(names, string(a))
	}
	ctx.Out.Int(int64(srv.e.Spikes().Reset(names...)))
}

func (srv *Server) latencyGraph(ctx *command.Ctx) {
	name := string(ctx.Args[2])
	samples, longest := srv.e.Spikes().Of(name)
	if len(samples) == 0 {
		ctx.Out.Error("No samples available for event '" + name + "'")
		return
	}
	ctx.Out.Verbatim("txt", spikeGraph(name, samples, longest, time.Now().Unix()))
}

// A graph is so many columns wide and rows high; a row has as many levels as graphLevels has signs.
const (
	graphColumns = 80
	graphRows    = 4
	graphLevels  = "_-`"
)

// spikeGraph draws the latest samples, a column for each, with its age below.
func spikeGraph(name string, samples []engine.Spike, longest, now int64) string {
	samples = samples[max(len(samples)-graphColumns, 0):]
	low, high := samples[0].Millis, samples[0].Millis
	for _, s := range samples {
		low, high = min(low, s.Millis), max(high, s.Millis)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", name, high, low, longest, strings.Repeat("-", graphColumns))
	const top = graphRows*len(graphLevels) - 1
	for row := graphRows - 1; row >= 0; row-- {
		for _, s := range samples {
			switch level := int((s.Millis-low)*int64(top)/max(high-low, 1)) - row*len(graphLevels); {
			case level < 0:
				out.WriteByte(' ')
			case level < len(graphLevels):
				out.WriteByte(graphLevels[level])
			default:
				out.WriteByte('#')
			}
		}
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
	writeColumns(&out, samples, now)
	return out.String()
}

// writeColumns writes the ages of the samples downwards.
func writeColumns(out *strings.Builder, samples []engine.Spike, now int64) {
	labels := make([]string, len(samples))
	height := 0
	for i, s := range samples {
		labels[i] = age(now - s.Unix)
		height = max(height, len(labels[i]))
	}
	for row := range height {
		for _, l := range labels {
			if row < len(l) {
				out.WriteByte(l[row])
			} else {
				out.WriteByte(' ')
			}
		}
		out.WriteByte('\n')
	}
}

func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/(24*3600))
}

// latencyDoctor reports in words. The numbers of each event stand in the order in which Redis gives them.
func (srv *Server) latencyDoctor(ctx *command.Ctx) {
	spikes := srv.e.Spikes()
	names := spikes.Names()
	var out strings.Builder
	switch {
	case spikes.Threshold() == 0:
		out.WriteString("The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> switches it on: a good value is the delay that your clients can bear.\n")
	case len(names) == 0:
		fmt.Fprintf(&out, "Nothing has held this server up for %d ms or longer since the monitor was switched on or reset.\n", spikes.Threshold().Milliseconds())
	default:
		out.WriteString("This server was held up:\n\n")
		for i, name := range names {
			fmt.Fprintf(&out, "%d. %s\n", i+1, spikeReport(name, spikes))
		}
		out.WriteString("\n")
		srv.latencyAdvice(&out, names)
	}
	ctx.Out.Verbatim("txt", out.String())
}

func spikeReport(name string, spikes *engine.Spikes) string {
	samples, longest := spikes.Of(name)
	n := int64(len(samples))
	if n == 0 {
		return name + ": reset meanwhile."
	}
	var sum, off int64
	for _, s := range samples {
		sum += s.Millis
	}
	for _, s := range samples {
		off += max(s.Millis-sum/n, sum/n-s.Millis)
	}
	period := float64(time.Now().Unix()-samples[0].Unix) / float64(n)
	return fmt.Sprintf("%s: %d latency spikes (average %dms, mean deviation %dms, period %.2f sec). Worst all time event %dms.",
		name, n, sum/n, off/n, period, longest)
}

// spikeAdvice is what can be done about an event.
var spikeAdvice = map[string]string{
	engine.SpikeCommand:     "- SLOWLOG GET shows the commands that took long: look for ones that visit many elements at once, and split them.\n",
	engine.SpikeFast:        "- Commands that are fast by nature took long: the machine, or the scheduler of its host, was busy with something else.\n",
	engine.SpikeExpireCycle: "- Many keys expire at the same time: spread their times to live.\n",
	engine.SpikeEvictCycle:  "- The data set is at maxmemory: raise it, or lower maxmemory-eviction-tenacity so that less is evicted at once.\n",
	engine.SpikeFileSync:    "- The disk is slow to sync the append-only file: appendfsync everysec does not make clients wait for it.\n",
	engine.SpikeFileWrite:   "- The disk is slow to take the append-only file: see what else writes to it.\n",
}

func (srv *Server) latencyAdvice(out *strings.Builder, names []string) {
	for _, name := range names {
		out.WriteString(spikeAdvice[name])
	}
	threshold := srv.e.Spikes().Threshold()
	if us := srv.cfg.Int(settings.SlowlogLogSlowerThan); us < 0 || us > threshold.Microseconds() {
		fmt.Fprintf(out, "- The slow log leaves out some of the commands that the monitor notes: CONFIG SET slowlog-log-slower-than %d lets it have them.\n", threshold.Microseconds())
	}
}

// latencyHistogram answers for the named commands, those without calls left out, or for all. A container stands for its
// subcommands.
func (srv *Server) latencyHistogram(ctx *command.Ctx) {
	wanted := map[*command.Cmd]bool{}
	for _, name := range ctx.Args[2:] {
		if cmd := srv.e.Table.LookupFull(name); cmd != nil {
			wanted[cmd] = true
		}
	}
	mark, n := ctx.Out.DeferArray(), 0
	srv.e.Latencies(func(cmd *command.Cmd, h *engine.Histogram) {
		if len(ctx.Args) > 2 && !wanted[cmd] && !wanted[cmd.Parent] {
			return
		}
		steps, calls := h.Steps()
		if calls == 0 {
			return
		}
		n++
		ctx.Out.BulkString(cmd.FullName)
		ctx.Out.Map(2)
		ctx.Out.BulkString("calls")
		ctx.Out.Int(calls)
		ctx.Out.BulkString("histogram_usec")
		ctx.Out.Map(len(steps))
		for _, s := range steps {
			ctx.Out.Int(s[0])
			ctx.Out.Int(s[1])
		}
	})
	ctx.Out.SetMapLen(mark, n)
}

func latencyHelp(ctx *command.Ctx) {
	help(ctx, "LATENCY",
		"DOCTOR", "    Return a human readable latency analysis report.",
		"GRAPH <event>", "    Return an ASCII latency graph for the <event> class.",
		"HISTORY <event>", "    Return time-latency samples for the <event> class.",
		"LATEST", "    Return the latest latency samples for all events.",
		"RESET [<event> ...]", "    Reset latency data of one or more <event> classes.", "    (default: reset all data for all event classes)",
		"HISTOGRAM [COMMAND ...]", "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
		"    If no commands are specified then all histograms are replied.")
}

package session

import (
	"slices"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
)

func (srv *Server) attachMonitor() {
	srv.e.Table.Attach("monitor", srv.monitor)
	srv.e.OnMonitor(srv.showCommand)
}

// monitor is MONITOR: from here on the client is told of every command that is executed.
func (srv *Server) monitor(ctx *command.Ctx) {
	s := self(ctx)
	switch {
	case !srv.e.CanBlock(ctx):
		ctx.Out.Error("MONITOR isn't allowed for DENY BLOCKING client")
		return
	case s.Has(engine.IsReplica | engine.IsMonitor):
		return
	}
	s.Set(engine.IsMonitor)
	s.Receive()
	srv.monitors = append(srv.monitors, s)
	srv.e.SetMonitored(true)
	ctx.Out.OK()
}

// unmonitor ends what MONITOR began. The engine's lock must be held exclusively.
func (srv *Server) unmonitor(s *Session) {
	if i := slices.Index(srv.monitors, s); i >= 0 {
		srv.monitors = slices.Delete(srv.monitors, i, i+1)
		srv.e.SetMonitored(len(srv.monitors) > 0)
	}
}

// showCommand pushes a line to all who look. It is one piece of memory for all of them.
func (srv *Server) showCommand(c engine.Shown) {
	if len(srv.monitors) == 0 {
		return
	}
	now := time.Now()
	line := append(strconv.AppendInt([]byte{'+'}, now.Unix(), 10), '.')
	us := strconv.Itoa(1e6 + now.Nanosecond()/1e3)
	line = append(append(line, us[1:]...), " ["...)
	line = append(strconv.AppendInt(line, int64(c.DB), 10), ' ')
	switch s := Of(c.Client); {
	case s == nil:
		line = append(line, c.Source...)
	case s.Path != "":
		line = append(append(line, "unix:"...), s.Path...)
	default:
		line = append(line, s.Owner.RemoteAddr()...)
	}
	line = append(line, ']')
	secret := secrets(c.Cmd, c.Args)
	for i, a := range c.Args {
		if line = append(line, ' '); secret[i] {
			line = append(line, `"(redacted)"`...)
		} else {
			line = resp.AppendQuoted(line, a)
		}
	}
	line = append(line, "\r\n"...)
	for _, s := range srv.monitors {
		s.Push(line)
	}
}

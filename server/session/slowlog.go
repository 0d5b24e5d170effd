package session

import (
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

// slowLog keeps the latest commands that took long. It is used under the engine's lock, which readers may share.
type slowLog struct {
	next    int64
	entries []slowEntry // oldest first
}

type slowEntry struct {
	id         int64
	when       int64
	took       time.Duration
	args       []string
	addr, name string
}

// Redis' limits of an entry.
const (
	slowMaxArgs = 32
	slowMaxArg  = 128
)

func (srv *Server) noteSlow(c *engine.Client, cmd *command.Cmd, args [][]byte, took time.Duration) {
	if cmd.Flags&command.SkipSlowlog != 0 {
		return
	}
	limit := int(srv.cfg.Int(settings.SlowlogMaxLen))
	if limit <= 0 {
		return
	}
	e := slowEntry{id: srv.slow.next, when: time.Now().Unix(), took: took}
	srv.slow.next++
	for i, a := range args {
		if i == slowMaxArgs-1 && len(args) > slowMaxArgs {
			e.args = append(e.args, "... ("+itoa(len(args)-i)+" more arguments)")
			break
		}
		text := string(a[:min(len(a), slowMaxArg)])
		if more := len(a) - slowMaxArg; more > 0 {
			text += "... (" + itoa(more) + " more bytes)"
		}
		e.args = append(e.args, text)
	}
	if s := Of(c); s != nil {
		e.addr, e.name = s.Owner.RemoteAddr(), s.Name
	}
	srv.slow.entries = append(srv.slow.entries, e)
	if over := len(srv.slow.entries) - limit; over > 0 {
		srv.slow.entries = append(srv.slow.entries[:0:0], srv.slow.entries[over:]...)
	}
}

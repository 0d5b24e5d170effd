package engine

import "github.com/understudy-db/understudy/server/command"

// Shown is a command as MONITOR shows it.
type Shown struct {
	Client *Client // nil: it came from elsewhere
	Source string  // what stands for the client when there is none
	DB     int
	Cmd    *command.Cmd
	Args   [][]byte
}

// OnMonitor sets what shows commands to those who asked with MONITOR. fn runs with the lock held, in either mode. Call it
// before clients come.
func (e *Engine) OnMonitor(fn func(Shown)) { e.monitor = fn }

// SetMonitored tells whether anybody looks. Where nobody does, no command is asked whether it would be shown: they all take
// the slow path while somebody does. The lock must be held exclusively.
func (e *Engine) SetMonitored(on bool) { e.PutState(monitored, on) }

// early tells whether a command is shown before it runs: those that run others, so that these follow it.
func early(cmd *command.Cmd) bool {
	return cmd.Flags&command.SkipMonitor != 0 && cmd.Categories&command.CatScripting != 0
}

// show shows a command of a client, before it runs or after it, as is due. What is for administrators is not shown.
func (l *Lane) show(c *Client, cmd *command.Cmd, args [][]byte, before bool) {
	if before != early(cmd) || cmd.Flags&command.Admin != 0 || !before && cmd.Flags&command.SkipMonitor != 0 {
		return
	}
	l.e.monitor(Shown{Client: c, DB: c.DB, Cmd: cmd, Args: args})
}

// watched is invoke for a client's command while somebody looks.
func (l *Lane) watched(c *Client, cmd *command.Cmd, args [][]byte) (wrote bool) {
	if l.st&monitored == 0 {
		return l.invoke(c, cmd, args)
	}
	l.show(c, cmd, args, true)
	wrote = l.invoke(c, cmd, args)
	l.show(c, cmd, args, false)
	return wrote
}

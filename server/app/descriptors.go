package app

import (
	"math"
	"strconv"
	"syscall"

	"github.com/understudy-db/understudy/server/settings"
)

// spareDescriptors is what a server needs besides its clients' sockets: listeners, files, links, as Redis counts them.
const spareDescriptors = 32

// fitMaxClients lowers maxclients to what the limit of open files allows: a client too many then reads an error, instead
// of waiting in front of a server that cannot accept it. The Go runtime has raised the soft limit to the hard one.
func (a *App) fitMaxClients() error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		a.logger.Warningf("The limit of open files is unknown: %v", err)
		return nil
	}
	wanted := a.Settings.Int(settings.MaxClients)
	if lim.Cur > math.MaxInt32 || int64(lim.Cur) >= wanted+spareDescriptors {
		return nil
	}
	fits := max(int64(lim.Cur)-spareDescriptors, 1)
	a.logger.Warningf("You requested maxclients of %d requiring at least %d max file descriptors.", wanted, wanted+spareDescriptors)
	a.logger.Warningf("Current maximum open files is %d. maxclients has been reduced to %d to compensate for low ulimit. "+
		"If you need higher maxclients increase 'ulimit -n'.", lim.Cur, fits)
	return a.Settings.Set(settings.SetContext{}, settings.Pair{Name: "maxclients", Value: strconv.FormatInt(fits, 10)})
}

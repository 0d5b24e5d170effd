package app

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/relay"
	"github.com/understudy-db/understudy/server/settings"
)

// The primary port: who comes in there gets the master of the set, whichever member that is.

// masterPatience is for how long a connection of the primary port waits for a master that may write.
const masterPatience = 5 * time.Second

// newRelay answers nil for a server without a primary port.
func (a *App) newRelay() (*relay.Relay, error) {
	if a.Settings.Int(settings.PrimaryPort) == 0 {
		return nil, nil
	}
	if a.member == nil {
		return nil, errors.New("primary-port needs managed: nobody else tells this server where the master is")
	}
	return relay.New(relay.Options{Set: a.Settings.String(settings.SetUID), Target: a.whereMasterIs, Password: a.memberPassword,
		Home: func(c *relay.Client) error { return a.transport.Home(c) }, Limit: a.relayLimit(), Patience: masterPatience, Logf: a.logger.Verbosef}), nil
}

func (a *App) whereMasterIs() relay.Target {
	if a.Engine.Serving() {
		return relay.Target{Here: true}
	}
	return relay.Target{Addr: a.member.driver.Primary()}
}

// memberPassword is what this member shows its upstream. It stands for the default user only.
func (a *App) memberPassword() (password string, ok bool) {
	return a.Settings.String(settings.MasterAuth), a.Settings.String(settings.MasterUser) == ""
}

// minRelays is how many connections may be relayed even where descriptors are scarce.
const minRelays = 64

// relayLimit is what the open files leave: a relayed connection has a second socket.
func (a *App) relayLimit() int {
	clients := a.Settings.Int(settings.MaxClients)
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Cur > math.MaxInt32 {
		return int(clients)
	}
	return int(min(clients, max(minRelays, int64(lim.Cur)-clients-spareDescriptors)))
}

// listenPrimary listens on the addresses of the directive bind.
func (a *App) listenPrimary() error {
	port := a.Settings.Int(settings.PrimaryPort)
	if port == 0 {
		return nil
	}
	for _, name := range a.Settings.Bind() {
		addr, optional, err := bindAddr(name, uint16(port))
		if err == nil {
			_, err = a.transport.ListenPrimary(addr, int(a.Settings.Int(settings.TCPBacklog)))
		}
		if err != nil && !optional {
			return fmt.Errorf("primary-port: %w", err)
		}
	}
	return nil
}

// primaryInfo are the lines of INFO understudy.
func (a *App) primaryInfo(w *engine.InfoWriter) {
	if a.relay == nil {
		return
	}
	p, r := a.transport.Primary(), a.relay.Counts()
	w.Field("primary_relays", r.Now)
	w.Field("primary_relays_total", r.Begun)
	w.Field("primary_sessions_carried", r.Carried)
	w.Field("primary_sessions_dropped", p.Dropped)
	w.Field("primary_relays_given_back", r.Back)
	w.Field("primary_relays_home", r.Home)
	w.Field("primary_waiting", p.Waiting)
	w.Field("primary_without_master", p.Expired+r.Failed)
}

func (s *samples) primary(a *App) {
	if a.relay == nil {
		return
	}
	p, r := a.transport.Primary(), a.relay.Counts()
	s.gauge("primary_relays", "Connections of the primary port that are relayed to the master.", float64(r.Now))
	s.count("primary_relays_total", "Connections of the primary port that were relayed to a master.", r.Begun)
	s.count("primary_sessions_carried_total", "Of these, those that took a session's state with them.", r.Carried)
	s.count("primary_sessions_dropped_total", "Connections of the primary port closed at a change of the role, their session being bound to this member.", p.Dropped)
	s.count("primary_relays_given_back_total", "Relayed connections that a former master gave back.", r.Back)
	s.count("primary_relays_home_total", "Relayed connections that ended here because this member became the master.", r.Home)
	s.gauge("primary_waiting", "Connections of the primary port that wait for a master.", float64(p.Waiting))
	s.count("primary_without_master_total", "Connections of the primary port closed because no master could be reached in time.", p.Expired+r.Failed)
}

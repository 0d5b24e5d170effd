package manage

import (
	"reflect"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// silentAfter is six heartbeats of a master with the default lease of 2 s. With a longer lease a healthy link may be called
// silent now and then: that only counts once the operator has lost the master itself.
const silentAfter = 1500 * time.Millisecond

// Report is what this member says about itself now.
func (d *Driver) Report() member.Report {
	file := d.authFile()
	d.forgetRemoved()
	st := d.node.Status()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	r := d.m.Report(d.clock())
	r.Data = d.dataLocked(r.Data.Whole)
	r.Writable = r.Role == member.RoleMaster && d.gate.Open()
	if r.Link != nil {
		r.Link.Up, r.Link.Syncing, r.Link.DownFor, r.Link.Trip = st.LinkUp, st.Syncing, st.DownFor, st.Trip
		r.Link.Silent = st.LinkUp && st.Silent > silentAfter
		r.Link.InSync = st.LinkUp && !r.Data.Loading && d.catchUp < 0
	}
	r.Persists, r.Persisted, r.FullSyncs = st.Persists, st.Persisted, d.loads
	r.Config, r.ConfigBad, r.Auth, r.AuthStep, r.AuthFile = d.config.version, d.config.bad, d.config.auth, d.config.step, file
	r.Terminates, r.Divergent = d.leaving, d.divergent
	// The pause counts once the engine holds it, not once it was ordered: the offset above is final only then (rule 13).
	r.Paused = r.Paused && st.Paused
	return r
}

func (d *Driver) authFile() string {
	if d.o.Password == nil {
		return ""
	}
	_, version, err := d.o.Password()
	if err != nil {
		return ""
	}
	return version
}

// Reports are sent when something changed that does not move all the time, looked for this often.
const reportEvery = 100 * time.Millisecond

func (d *Driver) runReports() {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.poke:
		case <-tick.C:
		}
		r := d.Report()
		d.mu.Lock()
		same := reflect.DeepEqual(r.Still(), d.lastWord)
		d.lastWord = r.Still()
		d.mu.Unlock()
		if !same {
			d.send(r)
		}
	}
}

package manage

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

const saveTimeout = 10 * time.Minute

// retireLimit is for how long Retire waits for the order at hand.
const retireLimit = 2 * time.Second

// Retire stops the member for good, before its last save: it is parked, and no order changes that any more. It answers
// whether nothing is missing of what it ever held, so that a file of the data as it is now is whole (rule 4). A master is not
// retired: it must be relieved first.
func (d *Driver) Retire() (whole bool) {
	d.mu.Lock()
	d.retired = true
	d.mu.Unlock()
	for end := time.Now().Add(retireLimit); ; time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		role, busy := d.m.Role(), d.carrying
		d.mu.Unlock()
		switch {
		case role == member.RoleMaster, busy && time.Now().After(end):
			d.mu.Lock()
			defer d.mu.Unlock()
			d.retired = false
			return false
		case busy:
			continue
		}
		d.node.Park()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.look()
		return d.m.Whole()
	}
}

// Unretire takes Retire back: the process does not end after all.
func (d *Driver) Unretire() {
	d.mu.Lock()
	was := d.retired
	d.retired = false
	follows, up := d.m.Role() == member.RoleReplica, d.m.Upstream()
	d.mu.Unlock()
	if was && follows {
		d.node.Follow(up)
	}
}

// ownOrder carries out the orders that the fencing machine does not know: configuration, password, save.
func (d *Driver) ownOrder(m member.Message) (answer member.Message, own bool) {
	switch m := m.(type) {
	case member.Configure:
		if no := d.refuse(m.Order); no != nil {
			return *no, true
		}
		return d.configure(m), true
	case member.Rotate:
		if no := d.refuse(m.Order); no != nil {
			return *no, true
		}
		return d.rotate(m), true
	case member.Save:
		if no := d.refuse(m.Order); no != nil {
			return *no, true
		}
		ctx, cancel := context.WithTimeout(d.ctx, saveTimeout)
		defer cancel()
		if err := d.node.Save(ctx); err != nil {
			return d.refusal(member.RefusedInvalid, "saving: "+err.Error()), true
		}
		return d.done(), true
	}
	return nil, false
}

// refuse checks what every order must satisfy (rules 7 and 9), as the machine does for its own.
func (d *Driver) refuse(o member.Order) *member.Refusal {
	d.mu.Lock()
	term := d.m.Term()
	d.mu.Unlock()
	var r member.Refusal
	switch {
	case o.For != d.o.Identity.Incarnation:
		r = d.refusal(member.RefusedIncarnation, fmt.Sprintf("meant for %s, this is %s", o.For, d.o.Identity.Incarnation))
	case o.Term < term:
		r = d.refusal(member.RefusedTerm, fmt.Sprintf("term %d is over, %d is known here", o.Term, term))
	case term == 0 && !o.Met:
		r = d.refusal(member.RefusedUnmet, "no term here: read status again after meeting this process")
	default:
		return nil
	}
	return &r
}

func (d *Driver) refusal(code member.RefusalCode, why string) member.Refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	return member.Refusal{Code: code, Why: why, Term: d.m.Term()}
}

func (d *Driver) done() member.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return member.Done{Term: d.m.Term(), Incarnation: d.o.Identity.Incarnation, Offset: d.node.Offset()}
}

func (d *Driver) configure(c member.Configure) member.Message {
	err := d.node.Configure(c.Set)
	d.mu.Lock()
	if err == nil {
		d.config.version, d.config.bad = c.Version, ""
	} else {
		d.config.bad = err.Error()
	}
	d.mu.Unlock()
	if err != nil {
		return d.refusal(member.RefusedInvalid, err.Error())
	}
	return d.done()
}

// rotate takes the password from the mounted file: it never travels.
func (d *Driver) rotate(r member.Rotate) member.Message {
	if d.o.Password == nil {
		return d.refusal(member.RefusedInvalid, "this member has no password file")
	}
	password, version, err := d.o.Password()
	switch {
	case err != nil:
		return d.refusal(member.RefusedInvalid, "reading the password file: "+err.Error())
	case version != r.Version:
		d.changed()
		return d.refusal(member.RefusedInvalid, fmt.Sprintf("the mounted file holds version %s, not %s: wait for the mount", version, r.Version))
	}
	if err := d.node.Rotate(r.Step, password); err != nil {
		return d.refusal(member.RefusedInvalid, err.Error())
	}
	d.mu.Lock()
	d.config.auth, d.config.step = version, r.Step
	d.mu.Unlock()
	return d.done()
}

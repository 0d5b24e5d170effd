package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/api/member"
)

// createPods makes the pods that are missing. Nothing waits for all pods before it heals.
func (p *pass) createPods() {
	have := map[int]bool{}
	for i := range p.o.Members {
		if m := &p.o.Members[i]; m.Pod.UID != "" {
			have[m.Ordinal] = true
			if m.Pod.Problem != "" {
				p.stall(m.Name + ": " + m.Pod.Problem)
			}
		}
	}
	for ord := range p.members() {
		if !have[ord] {
			name := fmt.Sprintf("%s-%d", p.o.Spec.Name, ord)
			p.do(CreatePod{name, ord, p.o.Spec.Revision, p.o.Spec.Persist != PersistNone}, "no such pod")
		}
	}
	for _, ord := range p.disksToRead() {
		if !have[ord] && ord >= p.members() {
			name := fmt.Sprintf("%s-%d", p.o.Spec.Name, ord)
			p.do(CreatePod{name, ord, p.o.Spec.Revision, true}, "its disk may hold what nobody else does")
		}
	}
}

// disksToRead is the ordinals, wanted or not, whose disks may hold what nobody else does: the last master's, and, while there
// is no master, those of all that were voters. A set may be made smaller just before it loses everybody.
func (p *pass) disksToRead() []int {
	t := p.o.Status.Term
	if p.o.Spec.Persist == PersistNone {
		return nil
	}
	var names []string
	switch {
	case t.Master != nil:
		names = append(names, t.Master.Name)
	case t.Unfenced != nil:
		names = append(names, t.Unfenced.Name)
	}
	if t.Appointed != nil {
		names = append(names, t.Appointed.Name)
	}
	var out []int
	if t.Master == nil {
		names = append(names, t.Disks...)
		for _, r := range p.rosters() {
			for ord := range r.Voters {
				out = append(out, ord)
			}
		}
	}
	for _, name := range names {
		if ord, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:]); err == nil {
			out = append(out, ord)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// replacePods takes pods away, one per pass: what ended for good, what is too many, what is of an old
// revision (replicas first; the master moves by a switchover before its own turn comes).
func (p *pass) replacePods(master *Member) {
	t := p.o.Status.Term
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID != "" && (m.Pod.Ended || m.Pod.NodeGone) && !m.Pod.Deleting && m.Pod.UID != t.Master.Voter {
			p.do(DeletePod{m.Name, m.Pod.UID}, "it ended and will not run again; a new one takes its place")
		}
	}
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" || p.wanted(m) || m.Pod.UID == t.Master.Voter || m.Pod.Deleting {
			continue
		}
		if t.Rosters.Has(m.Pod.UID) || (t.Rosters.Old != nil && t.Rosters.Old.Has(m.Pod.UID)) {
			continue // leaves the roster first
		}
		if master.Report.Rosters != nil && (master.Report.Rosters.New.Has(m.Pod.UID) || master.Report.Rosters.Old != nil) {
			continue
		}
		if p.o.Spec.Persist == PersistReplicas && m.Pod.Persists && !slices.Contains(t.Disks, m.Name) {
			next := t // the master's own disk is old: should it die before it has saved, this one is the newest (S4)
			next.Disks = append(slices.Clone(t.Disks), m.Name)
			p.do(RecordTerm{p.o.Status.Version, next}, m.Name+" is not wanted any more: its disk is noted before its pod is deleted")
			return
		}
		p.do(DeletePod{m.Name, m.Pod.UID}, "more members than wanted")
	}
	p.roll(master)
}

// roll replaces one replica of an old revision when all members are in sync.
func (p *pass) roll(master *Member) {
	var old *Member
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if !p.wanted(m) {
			continue
		}
		if m.Pod.UID == "" || m.Pod.Deleting {
			return
		}
		if m.Pod.UID == master.Pod.UID {
			continue
		}
		broken := m.Pod.Revision != p.o.Spec.Revision && m.Pod.Problem != ""
		if broken {
			p.do(DeletePod{m.Name, m.Pod.UID}, "of an old revision and not running: "+m.Pod.Problem)
			return
		}
		if !p.inSync(m) || !p.electable(m) {
			if m.Pod.Revision == p.o.Spec.Revision {
				p.busy = m.Name + " is not in sync"
				return
			}
			return
		}
		if m.Pod.Revision != p.o.Spec.Revision {
			old = m // the highest ordinal goes first
		}
	}
	if old == nil {
		return
	}
	if p.o.Status.Term.Rosters.Old != nil {
		return
	}
	p.do(DeletePod{old.Name, old.Pod.UID}, "of an old revision; all members are in sync")
}

// credentials takes the rotation one step further on every member, then to the next step.
func (p *pass) credentials() {
	s, st := p.o.Spec, &p.d.Status
	if s.AuthVersion == "" || s.AuthVersion == st.AuthVersion {
		return
	}
	if st.AuthTarget != s.AuthVersion { // another one than the rotation under way was for: nobody accepts it yet
		st.AuthTarget, st.AuthStep = s.AuthVersion, ""
	}
	steps := []member.Rotation{member.RotateAccept, member.RotateUse, member.RotateDrop}
	at := 0
	for i, step := range steps {
		if st.AuthStep == step {
			at = i
		}
	}
	st.AuthStep = steps[at]
	p.busy = "the password is being rotated: " + string(steps[at])
	done := true
	for i := range p.o.Members {
		m := &p.o.Members[i]
		if m.Pod.UID == "" || m.Pod.NeverRan || m.Pod.Ended {
			continue
		}
		if m.Report == nil || !m.Connected {
			done = false
			continue
		}
		if m.Report.Auth == s.AuthVersion && stepIndex(steps, m.Report.AuthStep) >= at {
			continue
		}
		done = false
		p.do(Rotate{p.target(m), p.o.Status.Term.Number, steps[at], s.AuthVersion}, "the password Secret changed")
	}
	switch {
	case !done:
	case at == len(steps)-1:
		st.AuthVersion, st.AuthStep, st.AuthTarget = s.AuthVersion, "", ""
		p.event(false, "PasswordRotated", "every member uses the new password only")
	default:
		st.AuthStep = steps[at+1]
	}
}

func stepIndex(steps []member.Rotation, s member.Rotation) int {
	for i := range steps {
		if steps[i] == s {
			return i
		}
	}
	return -1
}

// configure sets changeable directives: on one replica first, so that a bad one hurts nobody else.
func (p *pass) configure() {
	want := p.o.Spec.ConfigVersion
	if want == "" {
		return
	}
	tried := false
	var todo []*Member
	for _, m := range p.speaking() {
		switch {
		case m.Report.ConfigBad != "":
			p.stall("config is refused by " + m.Name + ": " + m.Report.ConfigBad)
			return
		case m.Report.Config == want:
			tried = true
		case m.Report.Role == member.RoleReplica:
			todo = append([]*Member{m}, todo...)
		default:
			todo = append(todo, m)
		}
	}
	for _, m := range todo {
		p.do(SetConfig{p.target(m), p.o.Status.Term.Number, want}, "directives changed")
		if !tried {
			return
		}
	}
}

// save makes sure that a set which shall persist has a durable copy somewhere (S4).
func (p *pass) save() {
	if p.o.Spec.Persist == PersistNone {
		return
	}
	for _, m := range p.speaking() {
		if m.Report.Persisted {
			return
		}
	}
	for _, m := range p.speaking() {
		if m.Report.Persists && (p.inSync(m) || p.masterNow(m)) {
			p.do(SaveData{p.target(m), p.o.Status.Term.Number}, "no member holds a durable copy")
			return
		}
	}
}

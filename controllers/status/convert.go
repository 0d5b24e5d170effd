package status

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
)

// Read is the plan's view of a status that was read from a quorum.
func Read(rs *v1alpha1.ReplicaSet) plan.Status {
	st := rs.Status
	out := plan.Status{
		Version:      rs.ResourceVersion,
		Lost:         st.Term == nil,
		SpentRequest: st.SpentMaster,
		AuthVersion:  st.AuthVersion,
		AuthStep:     member.Rotation(st.AuthStep),
		AuthTarget:   st.AuthTarget,
	}
	if st.Term != nil {
		out.Term = readTerm(*st.Term)
	}
	for i := len(st.History) - 1; i >= 0; i-- { // newest first there, oldest first here
		h := st.History[i]
		out.History = append(out.History, plan.Failover{Term: member.Term(h.Term), From: h.From, To: h.To, Reason: h.Reason, Offset: h.Offset, Lost: h.Lost})
	}
	return out
}

func readTerm(t v1alpha1.TermRecord) plan.TermRecord {
	out := plan.TermRecord{
		Number: member.Term(t.Number), Master: readReign(t.Master), Unfenced: readReign(t.Unfenced), Appointed: readReign(t.Appointed),
		Lease: t.Lease.Duration, Target: member.Voter(t.Target), Reason: t.Reason,
		Rosters: member.Rosters{New: readRoster(t.Roster)}, Disks: slices.Clone(t.Disks),
	}
	if t.OldRoster != nil {
		old := readRoster(*t.OldRoster)
		out.Rosters.Old = &old
	}
	for _, v := range t.Gone {
		out.Gone = append(out.Gone, member.Voter(v))
	}
	out.Lineage, out.GivenUp = readHistory(t.Lineage), readHistory(t.GivenUp)
	return out
}

func readHistory(list []v1alpha1.Epoch) (out member.History) {
	for _, e := range list {
		out = append(out, member.Epoch{Term: member.Term(e.Term), ReplID: e.ReplicationID, Start: e.Start})
	}
	return out
}

func readReign(r *v1alpha1.Reign) *plan.Reign {
	if r == nil {
		return nil
	}
	return &plan.Reign{Term: member.Term(r.Term), Name: r.Member, Voter: member.Voter(r.PodUID),
		Incarnation: member.Incarnation(r.Incarnation), ReplID: r.ReplicationID}
}

func readRoster(r v1alpha1.Roster) member.Roster {
	out := member.Roster{Version: uint64(r.Version), K: int(r.SynchronousReplicas)}
	for _, v := range r.Voters {
		out.Voters = append(out.Voters, member.Voter(v))
	}
	return out
}

// writeTerm is the inverse of readTerm.
func writeTerm(t plan.TermRecord) *v1alpha1.TermRecord {
	out := &v1alpha1.TermRecord{
		Number: int64(t.Number), Master: writeReign(t.Master), Unfenced: writeReign(t.Unfenced), Appointed: writeReign(t.Appointed),
		Lease: metav1.Duration{Duration: t.Lease}, Target: types.UID(t.Target), Reason: t.Reason,
		Roster: writeRoster(t.Rosters.New), Disks: slices.Clone(t.Disks),
	}
	if t.Rosters.Old != nil {
		old := writeRoster(*t.Rosters.Old)
		out.OldRoster = &old
	}
	for _, v := range t.Gone {
		out.Gone = append(out.Gone, types.UID(v))
	}
	out.Lineage, out.GivenUp = writeHistory(t.Lineage), writeHistory(t.GivenUp)
	return out
}

func writeHistory(h member.History) (out []v1alpha1.Epoch) {
	for _, e := range h {
		out = append(out, v1alpha1.Epoch{Term: int64(e.Term), ReplicationID: e.ReplID, Start: e.Start})
	}
	return out
}

func writeReign(r *plan.Reign) *v1alpha1.Reign {
	if r == nil {
		return nil
	}
	return &v1alpha1.Reign{Term: int64(r.Term), Member: r.Name, PodUID: types.UID(r.Voter), Incarnation: string(r.Incarnation), ReplicationID: r.ReplID}
}

func writeRoster(r member.Roster) v1alpha1.Roster {
	out := v1alpha1.Roster{Version: int64(r.Version), SynchronousReplicas: int32(r.K)}
	for _, v := range r.Voters {
		out.Voters = append(out.Voters, types.UID(v))
	}
	return out
}

package apply

import (
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/plan"
)

// TestRestingMasterWritesNoFile: with persistence.by: Replicas the master is told to write neither snapshots nor an append-only
// file, once a replica has a durable copy (S4) and not before; a replica always writes.
func TestRestingMasterWritesNoFile(t *testing.T) {
	for mode, want := range map[v1alpha1.PersistenceMode]struct{ save, appendonly string }{
		v1alpha1.PersistenceRDB:       {"3600 1", "no"},
		v1alpha1.PersistenceAOF:       {"", "yes"},
		v1alpha1.PersistenceRDBAndAOF: {"3600 1", "yes"},
	} {
		rs := &v1alpha1.ReplicaSet{}
		rs.Spec.Persistence = v1alpha1.Persistence{Mode: mode, By: v1alpha1.PersistByReplicas, Save: "3600 1"}
		for _, persisted := range []bool{false, true} {
			view := observe.View{RS: rs}
			view.Spec.Persist = plan.PersistReplicas
			view.Members = []plan.Member{
				{Name: "orders-0", Connected: true, Report: &member.Report{Role: member.RoleMaster, Persisted: true}},
				{Name: "orders-1", Connected: true, Report: &member.Report{Role: member.RoleReplica, Persisted: persisted}},
			}
			p := &pass{view: view}
			for _, name := range []string{"orders-0", "orders-1"} {
				set, version := p.directives(plan.SetConfig{Target: plan.Target{Name: name}, Version: "v"})
				save, appendonly, is := want.save, want.appendonly, "v"
				if name == "orders-0" && persisted {
					save, appendonly, is = "", "no", "v"+observe.MasterVariant
				}
				if set["save"] != save || set["appendonly"] != appendonly || version != is {
					t.Errorf("%s, a replica has persisted %v, %s: save %q appendonly %q version %q, want %q %q %q",
						mode, persisted, name, set["save"], set["appendonly"], version, save, appendonly, is)
				}
			}
		}
	}
}

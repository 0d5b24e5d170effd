// Package plan decides what the operator does for one set: Plan(Observed) Decision, a pure function.
//
// Observed is plain data: what the cluster and the members said, and when. A Decision is an ordered
// list of actions with a reason each, the status to write, conditions, and when to look again if
// nothing happens. The package has no clock, no clients and no memory: what must be remembered
// between passes stands in the resource's status (TermRecord) or in Observed as facts that the
// member connections gathered (answers, last lease, times).
//
// # How a Decision is carried out
//
// Steps run in order. A step that fails ends the pass: the later ones may depend on it (a promotion
// depends on the record). Every action names the UID or incarnation it means, so that doing it twice,
// or late, is harmless. Sending an order does not wait for its answer; the answer wakes a new pass.
// At most one step of a pass takes something away from the set (Disruptive).
//
// # The reign of a term, as recorded in status
//
//	          RecordTerm{t+1, no master}           RecordTerm{t+1, pod, incarnation, roster}
//	(t, m) ------------------------------> (t+1, -) -----------------------------> (t+1, m')
//	   ^    suspicion, proof of death,        |  adopt asked of all, m included;       |
//	   |    switchover, handover              |  fenced and counted (rules 5, 6)       | promote sent until
//	   |                                      +--- m answers before it is fenced: -----+ the member reports
//	   +------------------------------------------ m' = m (nobody waits for ever) -----+ itself master
//
// The leader gives leases only for (t, m) that it read itself from a quorum (rule 8); see Lessor.
//
// # What must not happen here
//
// No promise is shortened, no count is rounded down and nothing is inferred from silence: a missing
// pod, a refused connection or a pod phase proves nothing (rule 10).
package plan

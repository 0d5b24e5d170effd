package fence

import (
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Effect is one of the structs below. The driver carries effects out in order.
type Effect interface{ effect() }

// StopWrites: executes no more batch and lets no reply of an executed one leave. Clients whose
// commands wait for a reply are dropped unanswered, except, when KeepPaused, those held by a pause.
type StopWrites struct{ KeepPaused bool }

// DropFeeds closes the links to all replicas fed.
type DropFeeds struct{}

// Persist makes the record durable before anything that follows.
type Persist struct{ Record Record }

// BecomeParked: stop applying and acknowledging; close the link to the upstream; keep the data. A load in
// place that was under way is given up: the data set is then empty, not loading.
type BecomeParked struct{}

// BecomeReplica: open a link to Upstream (and close any other). Vouch tells whether acknowledgements
// carry a voucher; ask Machine.Voucher each time.
type BecomeReplica struct {
	Term     member.Term
	Upstream member.Upstream
}

// BecomeMaster: open a reign in the data's history (member.History.Reign) at the present end offset; the
// old replication ID stays valid up to there (S8, S9); serve. Writes wait for the gate.
type BecomeMaster struct {
	Term   member.Term
	ReplID string
}

// CloseClients closes normal clients' connections, the role having moved.
type CloseClients struct{}

// PauseClients holds writes until Until (own clock); ResumeClients lets them go.
type PauseClients struct{ Until time.Duration }

// ResumeClients ends a pause.
type ResumeClients struct{}

// AnswerAdopted answers the order being handled. The driver sets Adopted.Data.History, Offset and
// Loading to what they are after the earlier effects took hold: nothing is applied any more.
type AnswerAdopted struct{ Adopted member.Adopted }

// Answer answers the order being handled. The driver sets Done.Offset to the end of the stream.
type Answer struct{ Message member.Message }

// Send goes to every operator connected.
type Send struct{ Message member.Message }

// Heartbeat: append one to the stream (and report it through Machine.Appended like any entry).
type Heartbeat struct{}

func (StopWrites) effect()    {}
func (DropFeeds) effect()     {}
func (Persist) effect()       {}
func (BecomeParked) effect()  {}
func (BecomeReplica) effect() {}
func (BecomeMaster) effect()  {}
func (CloseClients) effect()  {}
func (PauseClients) effect()  {}
func (ResumeClients) effect() {}
func (AnswerAdopted) effect() {}
func (Answer) effect()        {}
func (Send) effect()          {}
func (Heartbeat) effect()     {}

// Record is what outlives the process: the highest term adopted and, if known, who reigns in it.
type Record struct {
	SetUID   string           `json:"set"`
	Term     member.Term      `json:"term"`
	Upstream *member.Upstream `json:"upstream,omitempty"` // followed under Term
	GivenUp  member.History   `json:"givenUp,omitempty"`  // reigns whose data the term lets go
	Primary  string           `json:"primary,omitempty"`  // where clients find the master of Term
}

// Mutation turns single rules off. It exists for tests that show what each rule is for; a product
// build leaves it zero.
type Mutation struct {
	LeaseFromArrival   bool // rule 1: count leases from when they arrive
	VoucherFromArrival bool // rule 1: count vouchers from when they arrive
	OldMarks           bool // rule 1: offsets appended before this reign vouch too
	AnyLease           bool // rule 1: leases of another incarnation or term count
	NoDrift            bool // clocks: use the whole promise
	NoWriteCheck       bool // rule 2: a master may always write ("fencing off")
	QuietSinceFirst    bool // rule 5: tell the age of the first voucher instead of the newest
	AnyVoter           bool // rule 3: everybody's voucher counts
	NewRosterOnly      bool // rule 3: forget the old roster at once
	KeepWriting        bool // rule 4: an adopting master goes on until its promises end
	KeepAcking         bool // rule 4: an adopting replica goes on acknowledging
	NoPersist          bool // rule 4: answer without a durable term
	PromoteAnyone      bool // rule 7: obey a promotion that names another incarnation
	ObeyUnmet          bool // rule 9: without a term, obey anybody
	AnyTerm            bool // obey orders of older terms
	VouchUnspoken      bool // S3: vouch by hearsay with the term lost
	TakeBlindly        bool // rule 13: take over whatever the old master's end
	GuardOff           bool // S2: feed and load anything
	GiveUpAll          bool // S2: a term that lets some data go lets all go
	ParkedFeeds        bool // S3: a parked member feeds
	BlindJoin          bool // rule 11: continue from the offset, whatever the history
	ReuseReplID        bool // S9: consumed by the driver
	NoCommitWait       bool // S6: replies leave before k voters hold what they reflect
	WholeAlways        bool // rule 6: claim to be whole
}

package member

import (
	"slices"
	"time"
)

// Kind names a message on the wire.
type Kind string

// Message is one of the structs below.
type Message interface{ Kind() Kind }

// Order is part of everything that a leader tells a member to do.
type Order struct {
	Term Term `json:"term"`
	// For is the incarnation meant. A member refuses an order for another one.
	For Incarnation `json:"for"`
	// Met says that the leader quorum-read status after it met For. A member without a term obeys
	// only such orders (rule 9).
	Met bool `json:"met,omitempty"`
	// Leader is the operator's identity, for logs.
	Leader string `json:"leader,omitempty"`
}

// Ordered is a message that carries an Order.
type Ordered interface {
	Message
	Given() Order
}

// Given makes every message that embeds an Order an Ordered.
func (o Order) Given() Order { return o }

// Upstream is where a replica gets its data from.
type Upstream struct {
	Name string `json:"name"`
	Addr string `json:"addr"` // host:port of the data listener
	// Voter and Incarnation of the feeder; the link refuses another process at the same address.
	Voter       Voter       `json:"pod"`
	Incarnation Incarnation `json:"inc"`
}

// Hello opens a connection in both directions.
type Hello struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
	// Member is set by a member (or its supervisor), Leader by an operator.
	Member *Identity `json:"member,omitempty"`
	Leader string    `json:"leader,omitempty"`
	// SetUID is the set the speaker believes the listener to be in; a foreign one is refused.
	SetUID string `json:"set"`
	// Supervisor is true when the supervisor answers because no server process runs.
	Supervisor bool `json:"supervisor,omitempty"`
}

// Adopt asks a member to take Order.Term and to stop acting under any earlier one (rule 4).
type Adopt struct {
	Order
	// Handover: clients that wait in a pause have executed nothing; keep them until the role has
	// moved instead of dropping them at once (rule 13).
	Handover bool `json:"handover,omitempty"`
	// Next is host:port of the primary port of the member that is to become master: clients may ask it in
	// advance, and it answers once it is. Nothing says that it will be.
	Next string `json:"next,omitempty"`
}

// Adopted answers Adopt, after the term is durable. It is also what Report carries about data.
type Adopted struct {
	Term        Term        `json:"term"`
	Voter       Voter       `json:"pod"`
	Incarnation Incarnation `json:"inc"`
	Data        Data        `json:"data"`
	// WasMaster: it was master of an earlier term until it adopted this one; Data is final.
	WasMaster bool `json:"wasMaster,omitempty"`
	// Quiet is for how long, at least, it has vouched for nothing newer than before: what it promised to a master of an earlier
	// term counts from that long ago at the latest. 0: not known.
	Quiet time.Duration `json:"quiet,omitempty"`
}

// Data describes a member's data set.
type Data struct {
	History History `json:"history,omitempty"`
	Offset  int64   `json:"offset"`
	// Whole: nothing was lost at the last restart, or the member has since caught up with the
	// master's end offset at its handshake (rule 4).
	Whole bool `json:"whole,omitempty"`
	// Loading: a full sync or a file is being loaded in place; the data set is no data set now.
	Loading bool `json:"loading,omitempty"`
}

// Empty: nothing was ever applied or everything was lost, whatever history it has heard of.
func (d Data) Empty() bool { return d.Offset == 0 }

// Wrote tells whether any of the data was written in one of these reigns.
func (d Data) Wrote(reigns History) bool {
	for i, e := range d.History {
		if e.Start < d.History.end(i, d.Offset) && slices.Contains(reigns, e) {
			return true
		}
	}
	return false
}

// Position is how far the data set is.
func (d Data) Position() Position { return d.History.At(d.Offset) }

// Promote makes a member master of Order.Term (rule 7: term, pod, incarnation, roster are recorded).
type Promote struct {
	Order
	Voter   Voter   `json:"pod"`
	Rosters Rosters `json:"rosters"`
	// ReplID is the new replication ID of this reign (S9), chosen by the leader and recorded.
	ReplID string `json:"replid"`
	// GivenUp is the reigns whose data a person gave up: what was written in them and is not on this
	// one's line gives way to it, set aside in a file. Unrelated data of any other origin stays.
	GivenUp History `json:"givenUp,omitempty"`
	// Lease is the length of the promises of this reign, before drift is taken off.
	Lease time.Duration `json:"lease"`
	// After is set in a planned handover: the old master has adopted the term and ended here. A replica that holds exactly that
	// adopts the term in the same step; any other refuses (rule 13).
	After *Position `json:"after,omitempty"`
	// Unfenced: the set's owner gave up S1 for availability (fencing None): writes need no promise.
	Unfenced bool `json:"unfenced,omitempty"`
}

// Follow makes a member a replica under Order.Term.
type Follow struct {
	Order
	Upstream Upstream `json:"upstream"`
	// Master and MasterPod are the term's master; Upstream differs in chains and trees.
	Master    Incarnation `json:"master"`
	MasterPod Voter       `json:"masterPod"`
	GivenUp   History     `json:"givenUp,omitempty"` // as in Promote
	// Primary is host:port of the master's primary port, to which this member relays clients that want the
	// master. Empty: the master has none.
	Primary string `json:"primary,omitempty"`
}

// TakeRoster changes the voters of a master (rule 3); answered by Done with Offset, the end of the
// stream when it was taken.
type TakeRoster struct {
	Order
	Rosters Rosters `json:"rosters"`
}

// Park stops a replica from following and feeding. A master is stopped by Adopt only.
type Park struct{ Order }

// Pause holds clients' writes for a switchover; it ends by itself after For (rule 13).
type Pause struct {
	Order
	Length time.Duration `json:"length"`
}

// Resume ends a Pause early.
type Resume struct{ Order }

// LeaseRequest is the master's wish to go on. Stamp is its own clock.
type LeaseRequest struct {
	Term        Term          `json:"term"`
	Voter       Voter         `json:"pod"`
	Incarnation Incarnation   `json:"inc"`
	Stamp       time.Duration `json:"stamp"`
}

// Lease grants it: the same request, echoed.
type Lease struct{ LeaseRequest }

// Configure sets directives on a running server. Secret values travel here (mutual TLS), never in logs.
type Configure struct {
	Order
	Set map[string]string `json:"set"`
	// Version is echoed in Report.Config once all of Set is in force.
	Version string `json:"version,omitempty"`
}

// Rotation is a live step of a password change.
type Rotation string

// Rotation steps in order; at each every member must have confirmed before the next begins.
const (
	// RotateAccept: accept the new password beside the old one.
	RotateAccept Rotation = "accept"
	// RotateUse: present the new password to the upstream (masterauth).
	RotateUse Rotation = "use"
	// RotateDrop: accept only the new one.
	RotateDrop Rotation = "drop"
)

// Rotate takes one step; links stay up. The passwords themselves are in the mounted file: a member
// whose file has another version refuses (RefusedInvalid) and reports AuthFile when that changes.
type Rotate struct {
	Order
	Step    Rotation `json:"step"`
	Version string   `json:"version"` // of the Secret's content, a digest; echoed in Report.Auth
	Old     string   `json:"old,omitempty"`
	New     string   `json:"new,omitempty"`
}

// Save asks for a durable snapshot (S4: before a persisting master is relieved).
type Save struct{ Order }

// Ask asks for a Report now.
type Ask struct{}

// Done answers an order other than Adopt.
type Done struct {
	Term        Term        `json:"term"`
	Incarnation Incarnation `json:"inc"`
	Offset      int64       `json:"offset,omitempty"`
}

// RefusalCode is a stable word for a reason; Refusal.Why is the sentence.
type RefusalCode string

// Reasons for a refusal.
const (
	RefusedForeign     RefusalCode = "foreign"     // another set's UID
	RefusedVersion     RefusalCode = "version"     // no common protocol version
	RefusedIncarnation RefusalCode = "incarnation" // meant for another process
	RefusedTerm        RefusalCode = "term"        // an older term than the member's
	RefusedUnmet       RefusalCode = "unmet"       // no term here, and the leader has not read status since meeting us (rule 9)
	RefusedRole        RefusalCode = "role"        // not possible in this role
	RefusedGuard       RefusalCode = "guard"       // would replace data by older or unrelated data (S2)
	RefusedInvalid     RefusalCode = "invalid"     // malformed
	RefusedUnknown     RefusalCode = "unknown"     // unknown kind
)

// Refusal answers anything that is not done. Term is the refuser's, so that a stale leader learns.
type Refusal struct {
	Code RefusalCode `json:"code"`
	Why  string      `json:"why"`
	Term Term        `json:"term"`
}

// Role of a member, as it sees itself.
type Role string

// Roles.
const (
	RoleParked  Role = "Parked"  // loads and may serve reads, accepts no write, feeds nobody
	RoleReplica Role = "Replica" // follows an upstream under a term
	RoleMaster  Role = "Master"  // of a term
)

// Link is a replica's view of its upstream.
type Link struct {
	Upstream Upstream      `json:"upstream"`
	Up       bool          `json:"up"`
	Silent   bool          `json:"silent,omitempty"` // Up, but several heartbeats of the upstream are overdue
	DownFor  time.Duration `json:"downFor,omitempty"`
	Syncing  bool          `json:"syncing,omitempty"` // a full sync is on its way
	InSync   bool          `json:"inSync,omitempty"`  // caught up with the handshake's end offset
	Trip     string        `json:"trip,omitempty"`    // why the guard refuses to load, "" if it does not
}

// Report is what a member says about itself: on connection, on every change, when asked.
type Report struct {
	Identity Identity `json:"id"`
	Term     Term     `json:"term"` // highest adopted, 0 if lost or never had
	Role     Role     `json:"role"`
	// Reign is the term it is or last was master of in this incarnation, 0 if never.
	Reign   Term     `json:"reign,omitempty"`
	Rosters *Rosters `json:"rosters,omitempty"` // master: what it counts by
	// RosterOffset is the end of the stream when Rosters was taken; RosterHeld that k voters of the
	// new roster hold it (rule 3).
	RosterOffset int64 `json:"rosterOffset,omitempty"`
	RosterHeld   bool  `json:"rosterHeld,omitempty"`
	Link         *Link `json:"link,omitempty"` // replica
	Data         Data  `json:"data"`
	// Master is the term's master as the member knows it: what peers tell a member that lost its term.
	Master     *Upstream `json:"master,omitempty"`
	Writable   bool      `json:"writable,omitempty"`   // the write check holds now
	Persisted  bool      `json:"persisted,omitempty"`  // a durable copy exists under this history
	Persists   bool      `json:"persists,omitempty"`   // save points or a file are on
	Config     string    `json:"config,omitempty"`     // version of the last Configure in force
	ConfigBad  string    `json:"configBad,omitempty"`  // why the last Configure was refused
	Auth       string    `json:"auth,omitempty"`       // version of the password in use
	AuthStep   Rotation  `json:"authStep,omitempty"`   // last step taken towards Auth
	AuthFile   string    `json:"authFile,omitempty"`   // version of the password in the mounted file
	Paused     bool      `json:"paused,omitempty"`     // clients are held
	Terminates bool      `json:"terminates,omitempty"` // SIGTERM came: hand over
	FullSyncs  uint64    `json:"fullSyncs,omitempty"`  // loaded by this incarnation
	Divergent  string    `json:"divergent,omitempty"`  // newest file in the data directory with writes that nobody else had (rule 11)
}

// Still leaves out what moves all the time: two reports that then are equal have the same news.
func (r Report) Still() Report {
	r.Data.Offset = 0
	if r.Link != nil {
		l := *r.Link
		l.DownFor = 0
		r.Link = &l
	}
	return r
}

// Death is the supervisor's proof that an incarnation ended (rule 10).
type Death struct {
	Identity Identity `json:"id"`
	Cause    string   `json:"cause"` // "exit status 2", "signal: killed", ...
}

// Handover is a master's wish to be relieved before it ends (SIGTERM, eviction).
type Handover struct {
	Term        Term        `json:"term"`
	Incarnation Incarnation `json:"inc"`
	Why         string      `json:"why"`
}

func (Hello) Kind() Kind        { return "hello" }
func (Adopt) Kind() Kind        { return "adopt" }
func (Adopted) Kind() Kind      { return "adopted" }
func (Promote) Kind() Kind      { return "promote" }
func (Follow) Kind() Kind       { return "follow" }
func (TakeRoster) Kind() Kind   { return "roster" }
func (Park) Kind() Kind         { return "park" }
func (Pause) Kind() Kind        { return "pause" }
func (Resume) Kind() Kind       { return "resume" }
func (LeaseRequest) Kind() Kind { return "leaseRequest" }
func (Lease) Kind() Kind        { return "lease" }
func (Configure) Kind() Kind    { return "configure" }
func (Rotate) Kind() Kind       { return "rotate" }
func (Save) Kind() Kind         { return "save" }
func (Ask) Kind() Kind          { return "ask" }
func (Done) Kind() Kind         { return "done" }
func (Refusal) Kind() Kind      { return "refusal" }
func (Report) Kind() Kind       { return "report" }
func (Death) Kind() Kind        { return "death" }
func (Handover) Kind() Kind     { return "handover" }

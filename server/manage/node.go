package manage

import (
	"context"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

// Node is the server that the driver gives roles to. The first group may take the engine's lock and wait
// for it; each returns when the change has taken hold.
type Node interface {
	// Park stops following and applying; the data stays. No write is accepted from then on.
	Park()
	// Follow opens a link to up and closes any other.
	Follow(up member.Upstream)
	// Lead opens a history under replid at the present end and answers that offset. The old ID stays
	// valid up to there (S8, S9). The gate decides about writes.
	Lead(replid string) (offset int64)
	// Remember: Driver.History has changed, before any write that belongs to what is new. What the data set's file tells of
	// its history changes no later than with the first of them.
	Remember()
	// DropFeeds closes the links to all replicas.
	DropFeeds()
	// CloseClients closes normal clients' connections.
	CloseClients()
	// Pause holds clients' writes for at most d; Resume lets them go.
	Pause(d time.Duration)
	Resume()
	// Heartbeat appends an entry that every replica ignores (PING) to the stream.
	Heartbeat()
	// Configure sets directives, all or none.
	Configure(set map[string]string) error
	// Rotate takes a step of a password change; Password is what the mounted file holds now.
	Rotate(step member.Rotation, password string) error
	// Save returns when a snapshot is durable.
	Save(ctx context.Context) error

	// SaveTo returns when a snapshot is durable in another file than the data set's own.
	SaveTo(ctx context.Context, path string) error
	// Tail is what the stream holds behind offset from; an error says why that is not there any more.
	Tail(from int64) (Tail, error)

	// The second group takes no lock that is held for long.

	// Offset is the end of the stream, as applied.
	Offset() int64
	// Loading: a full sync or a file is loaded in place, so that the data set is none now. This and
	// Offset are read with the driver's lock held: they must read atomics.
	Loading() bool
	// Status is what reports tell beside the role.
	Status() Status
}

// Status of a Node.
type Status struct {
	LinkUp    bool          // the link to the upstream is in the stream
	Silent    time.Duration // since something came from the upstream, while LinkUp
	Syncing   bool          // a full sync is on its way
	DownFor   time.Duration // since the link was up
	Trip      string        // why the guard refuses to load, "" if it does not
	Persists  bool          // save points are set
	Persisted bool          // a durable copy exists
	// Paused: clients' writes are held now. No write runs after it was read as true, until the pause ends.
	Paused bool
}

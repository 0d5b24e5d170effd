// Package fence is the member's side of the fencing protocol: a pure machine that knows the term, the
// role, the promises it has received, and decides whether a write may be executed, who may be fed and
// what may be loaded. It has no clock, no sockets and no data; the driver (server/manage for orders,
// server/link for streams and acknowledgements, server/engine for the gate) feeds it events with the
// time of its own CLOCK_BOOTTIME and carries out the effects it returns, in order, before it feeds the
// next event. Machine is not safe for concurrent use; Gate's value is what the driver publishes to
// the engine as atomics.
//
// # States
//
//	                 +--------------------- Adopt(t'>t) ----------------------+
//	                 v                                                       |
//	New -------> Parked --- Follow(t), or hearsay of a peer ---> Replica ----+
//	                 |  ^                                           ^ |
//	                 |  +---------------- Adopt(t'>t), Park --------|-+
//	                 |                                              |
//	                 +--- Promote(t), t adopted ----> Master -------+ Follow(t'>t)
//	                                                     |
//	                                                     +--- Adopt(t'>t) ---> Parked
//
// A process is born Parked whatever it was before (S3). It leaves a reign only for a higher term, so
// nobody is master of one term twice (S9: a new reign has a new replication ID).
//
// # Promises (rules 1, 2)
//
// A promise given for Lease is used for Lease less 10 % of the holder's clock, from a stamp that the
// holder took itself: of a lease when it asked, of a voucher when it appended the offset that the
// voter acknowledges. Only offsets appended in this reign count, so a heartbeat goes into the stream
// eight times per Lease: any entry will do that every Redis replica ignores (PING).
//
// # What an acknowledgement carries
//
// Between members REPLCONF ACK has extra words; a plain Redis server never sees them, because they are
// only sent on a link whose handshake named the set:
//
//	REPLCONF ACK <applied offset> [VOUCH <pod UID> <incarnation> <term> <offset>]...
//
// The first VOUCH is the replica's own (Machine.Voucher; absent when it may not vouch), the others are
// those of its own replicas, relayed as they came (newest per voter is enough). A replica
// acknowledges at once when it has applied a heartbeat, not only every second. The master hands every
// VOUCH to Machine.Acked.
//
// # What a replication handshake carries
//
// Before PSYNC a member sends
//
//	REPLCONF MEMBER <base64 JSON of SyncRequest>
//
// and the feeder answers +MEMBER <base64 JSON of SyncOffer> or -FENCED <code> <why>. Both sides ask
// their own guard (MayFeed, MayLoad); each refuses alone (S2). On a managed server PSYNC without it is
// served as to an external replica: fed, never a voter. History travels in the offer and replaces
// the replica's at the join; afterwards a reign can only change with a new handshake.
//
// # What must be durable
//
// Persist{Record} must have reached the disk (or the supervisor, which outlives the process) before
// any later effect of the same batch, the answer above all, takes place. A record lost is known to be
// lost: Boot.Record is nil and rule 9 holds.
package fence

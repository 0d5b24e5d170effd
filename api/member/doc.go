// Package member holds the messages between the operator and the members of a set, and between
// members: identity, term, roster, lease, adoption, promotion, topology, report, proof of death.
//
// It is the only ground where operator and server meet, so it imports the standard library alone
// and holds no policy: who may write is decided by server/repl/fence, who shall be master by
// controllers/plan. It must not open sockets or look at clocks.
//
// # Words
//
// A term is a number that only the operator raises (compare-and-set on the resource's status). A
// master is master of a term. An Incarnation is one run of one server process. A Voter is a pod, by
// UID. The Roster names the voters that count. A Stamp is a reading of the sender's boot-time clock:
// it means nothing to anybody else and is only ever echoed.
//
// # Wire
//
// One mutually authenticated connection carries lines. A line is one JSON object (a Frame) and a
// newline; JSON never holds a raw newline, so framing is bytes.IndexByte. A line is at most MaxLine
// bytes; a longer one ends the connection before it is held in memory.
//
//	{"v":1,"k":"adopt","id":7,"b":{...}}        a question; id is unique on this connection
//	{"v":1,"k":"adopted","re":7,"b":{...}}      its answer
//	{"v":1,"k":"report","b":{...}}              said unasked
//
// Both sides begin with Hello. Versions: each side names the oldest and newest it speaks; the
// connection uses the smaller newest and ends with a Refusal when that is below the other's oldest.
// Unknown kinds are refused by name and unknown fields are ignored, so a newer operator can talk to
// an older member within a version.
//
// # Who says what
//
//	operator -> member   hello adopt promote follow roster lease pause resume park configure save ask
//	member -> operator   hello adopted done refusal leaseRequest report death handover
//	member -> member     hello report (peer state, for a member that lost its term), death
//
// Every order carries an Order: the term under which it is given and the incarnation it is meant for
// (protocol rules 7 and 9). Orders are idempotent: the second copy of an order has no effect and is
// answered like the first.
package member

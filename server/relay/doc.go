// Package relay leads the connections of a member's primary port to the master of the set. Such a connection means "I want
// the master": the member that is it serves the connection itself, any other passes the bytes on, unread and unanswered.
//
//	client ---- primary port of A ----(relay of A)---- primary port of B, the master
//	                                  request  ->
//	                                  <- answer
//	                                  bytes   <->                as they come, both ways
//	                                  <- mark                    B is master no more, and executes nothing of what follows
//	                                  end of A's bytes ->
//	                                  <- what B was left with    and A goes on with the next master
//
// The request names the set and holds the session's state (opaque here), with the set's password when the client had
// authenticated itself. Only the master answers it with yes, so two members that take each other for the master refuse
// each other: there is never more than one relay in a connection's way, and no loop.
//
// A relay acknowledges nothing: a command is executed by the master or not at all (S1). What a master was sent and has not
// executed comes back behind the mark, a random word of the relay's own choosing, and goes to its successor in the same
// order, so nothing is executed twice and nothing is lost. When a master dies its relays end, as direct connections do.
//
// The package moves bytes and knows neither commands nor roles: others tell it where the master is.
package relay

// Package repl holds the state machines of replication: Replica is a server's side of the link to its master, Peer is a
// master's view of one of its replicas, and guard.go decides when a data set must not be replaced (S2). They are pure:
// time, bytes and events come in as arguments, what is to be done goes out as effects. Package link performs them.
//
// The replica's side, with Redis' names for the states (INFO and ROLE show them):
//
//	             Start
//	               v
//	+--------> connect --Dial--> connecting --Connected: PING--> handshake
//	|  1 s         ^                                                | AUTH, REPLCONF..., then PSYNC id next
//	|              | lost, timeout                                  v
//	+-- refused    +-------------------- connected <--+CONTINUE-- psync --error--> SYNC
//	                                        ^                       | +FULLRESYNC id offset
//	                                        | Loaded                v
//	                                     loading <--whole payload-- sync ($len or $EOF:mark)
//
// The master's view:
//
//	handshake --PSYNC served--> online
//	    | full sync                ^
//	    v                          | disk: file sent. diskless: trailer sent, then the first REPLCONF ACK
//	wait_bgsave --snapshot--> send_bulk
//
// Facts of the wire that the machines keep:
//   - After the $EOF: trailer no stream byte is sent before the replica's first REPLCONF ACK: redis-server looks for the
//     trailer at the end of what it has read, and loses what is glued to it.
//   - An error in answer to PSYNC makes redis-server fall back to SYNC, which knows no history. A master that wants to be
//     asked again later must say -NOMASTERLINK or -LOADING.
//   - Empty lines are signs of life, in both directions, outside of the payload and the stream.
package repl

// Package supervise is the parent process of a managed server: process 1 of its container.
//
// Its one job is that the death of the server process is known, and proven, within milliseconds (rule 10 of the fencing
// protocol), and that the process comes back parked (S3, S4) without a kubelet's back-off in the way. It holds no data,
// takes no orders, and must stay small enough never to be the reason for a death itself.
//
// What parent and child share:
//
//	management listener   made by the parent, inherited by the child (descriptor 3). The child accepts while it lives;
//	                      from its death until the next child says that it is ready the parent accepts, and answers
//	                      Hello (Supervisor) and Death.
//	ready pipe            descriptor 4: the child writes a byte once it accepts; the parent then closes its own
//	                      connections, so that whoever has them dials the child.
//	http-addr             the parent's: /livez is answered here, everything else is passed on to the child's socket
//	                      in the state folder.
//	state folder          "starts" counts process starts (it lives as long as the pod, so incarnations are ordered);
//	                      "deaths" are the proofs so far, which the child tells again after every Hello of a leader.
//
//	  start ──▶ running ──exit──▶ dead: Death recorded ──▶ start again, at once the first time,
//	              │                                        later after a growing pause (crash loops)
//	              └─SIGTERM: passed on; after the exit: linger for the proof to be fetched, then exit
package supervise

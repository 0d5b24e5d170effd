// Package transport serves client connections. On Linux that is a number of event loops, each a goroutine
// with its own epoll instance:
//
//	epoll_wait -> read every ready socket once -> parse every complete command -> one engine batch
//	           -> gate -> write each connection's replies once
//
// System calls on this path are raw, so that the Go scheduler does not see them, and non-blocking but for a short wait for
// events; only when there are none for longer the wait goes through the runtime. Where few of many clients are ready the
// loop lets more of them come first, see gathering. A loop is not tied to a thread: the scheduler makes it step aside every
// 10 ms, which then would take two changes of threads each time.
//
// An idle connection holds no buffer: requests are read into the loop's arena and replies are made in the lane's writer;
// what is incomplete or could not be sent is copied to the connection.
//
// Everything else that touches a connection (a reply to a blocked client, CLIENT KILL, the end of a pause) is posted to
// its loop's mailbox and runs there in order.
package transport

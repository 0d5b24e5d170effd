// Package tracking knows which clients may have cached which keys, and makes the messages that tell them to forget.
//
// It is a data structure, as pubsub is: the engine's lock guards it, and how a message reaches its client is the engine's
// business. Only a Table may be added to by several readers that share that lock: it has a lock of its own, innermost.
// Clients are known by their numbers, so that nothing here keeps a client that is gone.
//
// There are two ways to be told. In the normal one the server remembers what a client has read, and tells of each key once:
// after that the client must read it again to be told anew. In the broadcasting one a client names prefixes and is told of
// every change below them; nothing is remembered but what changed since the last messages.
package tracking

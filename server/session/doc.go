// Package session holds what the server knows of each client (name, library, authentication, protocol) and the commands
// that are about clients and the server itself: AUTH, HELLO, CLIENT, CONFIG, COMMAND, INFO, DEBUG and their kin.
//
// Handlers run under the engine's lock; fields of a Session change only there, or on its owner's goroutine before its
// first command. The package must not touch sockets: a Session's Owner does.
package session

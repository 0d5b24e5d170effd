package repl

import (
	"fmt"
	"strconv"
)

// Millis is an instant of a monotonic clock, or a span of it, in milliseconds.
type Millis = int64

// Effect is something that the driver has to do, in the order given. Effects print as the golden scripts show them.
type Effect interface{ String() string }

// Level of a log line; the names are Redis'.
type Level int

// Levels, from loud to quiet.
const (
	Warning Level = iota
	Notice
	Verbose
	Debug
)

// Log is a line for the server's log. The texts are Redis', because others parse them.
type Log struct {
	Level Level
	Text  string
}

// Dial asks for a connection to the master; answer with Connected or Lost.
type Dial struct{}

// Send writes to the connection.
type Send struct{ Data []byte }

// Hangup closes the connection. No Lost event must follow.
type Hangup struct{}

// BeginFull announces the payload of a full sync of history ID (empty: the master speaks only SYNC), which ends at
// Offset. Size is in bytes, -1 when only the end will tell.
type BeginFull struct {
	ID     string
	Offset int64
	Size   int64
}

// SetAside: what the log holds behind Offset the master has not, and it is about to be replaced: keep it in a file.
type SetAside struct{ Offset int64 }

// Payload is the next piece of the RDB; the bytes are valid during the call only.
type Payload struct{ Data []byte }

// EndPayload: the payload is complete. Load it, swap it in, call Log.Follow, answer with Loaded.
type EndPayload struct{}

// AbortFull throws away what was received since BeginFull.
type AbortFull struct{}

// Resume goes on with the stream behind Offset, which is before the end of the log when only heartbeats follow there; ID is the
// master's new replication ID, empty if it has not changed.
type Resume struct {
	ID     string
	Offset int64
}

// Apply is the next piece of the stream; the bytes are valid during the call only.
type Apply struct{ Data []byte }

// Kept says that the guard (S2) kept the data set of this replica; Reason is for people.
type Kept struct{ Reason string }

// Rejected says that the server to which FAILOVER hands over does not take it.
type Rejected struct{}

func (e Log) String() string {
	return [...]string{"warning", "notice", "verbose", "debug"}[e.Level] + ": " + e.Text
}
func (Dial) String() string   { return "dial" }
func (e Send) String() string { return "send " + show(e.Data) }
func (Hangup) String() string { return "hangup" }
func (e BeginFull) String() string {
	return fmt.Sprintf("begin full sync id=%q offset=%d size=%d", e.ID, e.Offset, e.Size)
}
func (e SetAside) String() string { return fmt.Sprintf("set aside what is behind %d", e.Offset) }
func (e Payload) String() string  { return "payload " + show(e.Data) }
func (EndPayload) String() string { return "end of payload" }
func (AbortFull) String() string  { return "abort full sync" }
func (e Resume) String() string   { return fmt.Sprintf("resume id=%q behind %d", e.ID, e.Offset) }
func (e Apply) String() string    { return "apply " + show(e.Data) }
func (Rejected) String() string   { return "rejected" }
func (e Kept) String() string     { return "kept: " + e.Reason }

func show(p []byte) string { return strconv.Quote(string(p)) }

// AppendCommand appends a command in the form of the stream.
func AppendCommand(dst []byte, args ...string) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	for _, a := range args {
		dst = append(dst, "\r\n$"...)
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, a...)
	}
	return append(dst, '\r', '\n')
}

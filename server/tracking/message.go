package tracking

import "github.com/understudy-db/understudy/server/resp"

// Channel is where a client of RESP2 hears of keys, when another client's messages are redirected to it.
const Channel = "__redis__:invalidate"

// Form is how a client can be told.
type Form uint8

// Forms.
const (
	Push    Form = iota // RESP3
	Message             // RESP2: a message on Channel, to one who subscribes to something
)

func begin(f Form, size int) *resp.Writer {
	w := resp.NewWriter(make([]byte, 0, size+64))
	if f == Push {
		w.SetProto(3)
		w.Push(2)
		w.BulkString("invalidate")
		return w
	}
	w.SetProto(2)
	w.Array(3)
	w.BulkString("message")
	w.BulkString(Channel)
	return w
}

// Keys tells of keys.
func Keys(f Form, keys ...string) []byte {
	size := 0
	for _, k := range keys {
		size += len(k) + 16
	}
	w := begin(f, size)
	w.Array(len(keys))
	for _, k := range keys {
		w.BulkString(k)
	}
	return w.Bytes()
}

// Everything tells that all keys are to be forgotten. The null is of the protocol of the client that reads, which need not
// be that of the one that is told.
func Everything(f Form, readerProto int) []byte {
	w := begin(f, 0)
	if readerProto >= 3 {
		w.RawString("_\r\n")
	} else {
		w.RawString("$-1\r\n")
	}
	return w.Bytes()
}

// Broken tells a client of RESP3 that the one its messages are redirected to is gone.
func Broken(redirect int64) []byte {
	w := resp.NewWriter(make([]byte, 0, 64))
	w.SetProto(3)
	w.Push(2)
	w.BulkString("tracking-redir-broken")
	w.Int(redirect)
	return w.Bytes()
}

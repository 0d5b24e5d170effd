package session

import (
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
)

// protocolSamples are the replies of DEBUG PROTOCOL, one of each type: client libraries and Redis's own suite test their
// parsers with them.
var protocolSamples = map[string]func(w *resp.Writer){
	"string":   func(w *resp.Writer) { w.BulkString("Hello World") },
	"integer":  func(w *resp.Writer) { w.Int(12345) },
	"double":   func(w *resp.Writer) { w.Double(3.141) },
	"bignum":   func(w *resp.Writer) { w.BigNumber("1234567999999999999999999999999999999") },
	"null":     func(w *resp.Writer) { w.Null() },
	"true":     func(w *resp.Writer) { w.Bool(true) },
	"false":    func(w *resp.Writer) { w.Bool(false) },
	"verbatim": func(w *resp.Writer) { w.Verbatim("txt", "This is a verbatim\nstring") },
	"array":    func(w *resp.Writer) { w.Array(3); threeNumbers(w) },
	"set":      func(w *resp.Writer) { w.Set(3); threeNumbers(w) },
	"map": func(w *resp.Writer) {
		w.Map(3)
		for i := range int64(3) {
			w.Int(i)
			w.Bool(i == 1)
		}
	},
	"attrib": func(w *resp.Writer) {
		if w.Proto() >= 3 {
			w.Attribute(1)
			w.BulkString("key-popularity")
			w.Array(2)
			w.BulkString("key:123")
			w.Int(90)
		}
		w.BulkString("Some real reply following the attribute")
	},
	"push": func(w *resp.Writer) {
		if w.Proto() < 3 {
			w.Error("RESP2 is not supported by this command")
			return
		}
		w.Push(2)
		w.BulkString("server-cpu-usage")
		w.Int(42)
		w.BulkString("Some real reply following the push reply") // the push is no reply to the command
	},
}

func threeNumbers(w *resp.Writer) {
	for i := range int64(3) {
		w.Int(i)
	}
}

func (srv *Server) debugProtocol(ctx *command.Ctx, args [][]byte) {
	sample := protocolSamples[strings.ToLower(string(args[0]))]
	if sample == nil {
		ctx.Out.Error("Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
		return
	}
	sample(ctx.Out)
}

package aof

import (
	"fmt"
	"io"

	"github.com/understudy-db/understudy/server/resp"
)

// WriteTail writes a stretch of a stream, whole commands of it, as a file of commands: readers of append-only files take it. The first
// line is a note that says about, in one line, what it is. db is the database of the first command, negative when nothing tells.
func WriteTail(w io.Writer, about string, db int, stream []byte) error {
	head := fmt.Appendf(nil, "# understudy: %s\r\n", about)
	if db >= 0 {
		head = resp.AppendCommandStrings(head, "SELECT", fmt.Sprint(db))
	} else {
		head = append(head, "# the database of the first command is not known\r\n"...)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(stream)
	return err
}

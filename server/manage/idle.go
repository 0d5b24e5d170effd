package manage

import (
	"bufio"
	"io"
	"sync"

	"github.com/understudy-db/understudy/api/member"
)

// buffers are those of connections on which something is being said; the others need none.
var buffers = sync.Pool{New: func() any { return member.NewReader(nil) }}

func buffer(r io.Reader) *bufio.Reader {
	b := buffers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

// idleReader waits for bytes without a buffer to put them into.
type idleReader struct {
	io.Reader
	ahead []byte // read already
}

// wait returns when there is something to read.
func (i *idleReader) wait() error {
	if len(i.ahead) > 0 {
		return nil
	}
	var one [1]byte
	n, err := i.Reader.Read(one[:])
	if n > 0 {
		i.ahead = append(i.ahead[:0], one[0])
		return nil
	}
	return err
}

// keep takes what r has read too much.
func (i *idleReader) keep(r *bufio.Reader) {
	if n := r.Buffered(); n > 0 {
		left, _ := r.Peek(n) // all of it is there
		i.ahead = append(append([]byte(nil), left...), i.ahead...)
	}
}

func (i *idleReader) Read(p []byte) (int, error) {
	if len(i.ahead) == 0 {
		return i.Reader.Read(p)
	}
	n := copy(p, i.ahead)
	i.ahead = i.ahead[n:]
	return n, nil
}

package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	chunkSize = 16 << 10
	// returnTime is for how long a former master may take to give a connection back, and maxReturn how much.
	returnTime = 5 * time.Second
	maxReturn  = 1 << 30
)

// errEnded is the ordinary end of a connection.
var errEnded = errors.New("ended")

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// next waits until there is something to read and reads it. An idle connection holds no buffer while it waits.
func next(c syscall.RawConn) (p *[chunkSize]byte, n int, err error) {
	var errno error
	err = c.Read(func(fd uintptr) bool {
		p = chunks.Get().(*[chunkSize]byte) //nolint:forcetypeassert // of the pool above
		for {
			n, errno = syscall.Read(int(fd), p[:])
			if !errors.Is(errno, syscall.EINTR) {
				break
			}
		}
		if errors.Is(errno, syscall.EAGAIN) {
			chunks.Put(p)
			p = nil
			return false
		}
		return true
	})
	switch {
	case err != nil:
	case errno != nil:
		err = errno
	case n == 0:
		err = io.EOF
	}
	if err != nil && p != nil {
		chunks.Put(p)
		p = nil
	}
	return p, n, err
}

func raw(c net.Conn) (syscall.RawConn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("not a socket")
	}
	return s.SyscallConn()
}

// splice passes bytes on in both directions. It returns errEnded when the connection is over, and without an error when the
// master has given it back.
func splice(c *Client, up *net.TCPConn, mark []byte) (Back, error) {
	from, err := raw(c.Conn)
	if err != nil {
		return Back{}, err
	}
	to, err := raw(up)
	if err != nil {
		return Back{}, err
	}
	if c.half {
		_ = up.CloseWrite()
	}
	sent := make(chan error, 1)
	go func() { sent <- requests(c, from, up) }()
	rest, found, err := replies(c.Conn, to, mark)
	if !found { // the master ended it, or the client is gone
		_ = c.Conn.Close()
		_ = up.Close()
		<-sent //nolint:errcheck // it ends because of this end
		return Back{}, err
	}
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // requests stops between two pieces: what it has read it has sent
	if err := <-sent; err != nil {
		return Back{}, err
	}
	_ = c.Conn.SetReadDeadline(time.Time{})
	_ = up.CloseWrite()
	_ = up.SetReadDeadline(time.Now().Add(returnTime))
	more, err := io.ReadAll(io.LimitReader(up, maxReturn))
	if err != nil {
		return Back{}, err
	}
	return parseBack(append(rest, more...))
}

// requests passes on what the client sends, until it is told to stop or there is nothing more.
func requests(c *Client, from syscall.RawConn, up *net.TCPConn) error {
	for !c.half {
		p, n, err := next(from)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, io.EOF): // replies may still be on their way
			c.half = true
			return up.CloseWrite()
		case err != nil:
			_ = up.Close()
			return err
		}
		_, err = up.Write(p[:n])
		chunks.Put(p)
		if err != nil {
			return err
		}
	}
	return nil
}

// replies passes on what the master answers, until it ends or its mark comes; rest is what came behind that.
func replies(client net.Conn, from syscall.RawConn, mark []byte) (rest []byte, found bool, err error) {
	s := scanner{mark: mark}
	for {
		p, n, err := next(from)
		if err != nil {
			return nil, false, errEnded
		}
		out, behind, found := s.feed(p[:n])
		_, err = client.Write(out)
		rest = append([]byte(nil), behind...)
		chunks.Put(p)
		if err != nil {
			return nil, false, errEnded
		}
		if found {
			return rest, true, nil
		}
	}
}

// Return gives a relayed connection back to the member that it came from: after the mark, what is still on its way here is
// taken in, and goes back behind unread. conn is closed.
func Return(conn net.Conn, q Request, state []byte, auth bool, unread []byte) error {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(returnTime))
	if _, err := conn.Write(q.MarkBytes()); err != nil {
		return err
	}
	more, err := io.ReadAll(io.LimitReader(conn, maxReturn))
	if err != nil {
		return err
	}
	text, err := Back{State: state, Auth: auth, Unread: append(unread, more...)}.Encode()
	if err != nil {
		return err
	}
	_, err = conn.Write(text)
	return err
}

// Package respclient is the small Redis client of demonstrations and end-to-end tests: one connection, RESP2, a
// deadline on everything. It belongs to the harness on purpose: a test that used the product's own codec could not see
// the codec's mistakes.
package respclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Error is an error reply of the server, such as "READONLY ...": the connection is still good.
type Error string

func (e Error) Error() string { return string(e) }

// Dial makes a connection.
type Dial func(ctx context.Context) (net.Conn, error)

// Client is one authenticated connection. It is not safe for concurrent use.
type Client struct {
	conn    net.Conn
	r       *bufio.Reader
	timeout time.Duration
}

// Connect dials, and authenticates when the password is not empty. Every later command has the timeout for itself.
func Connect(ctx context.Context, dial Dial, password string, timeout time.Duration) (*Client, error) {
	dialing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := dial(dialing)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, r: bufio.NewReader(conn), timeout: timeout}
	if password != "" {
		if _, err := c.Do("AUTH", password); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Do sends a command and returns its reply: string for simple and bulk strings, int64, nil for a null, []any. An error
// reply is returned as Error; any other error means that the connection is lost.
func (c *Client) Do(args ...string) (any, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request(nil, args)); err != nil {
		return nil, err
	}
	return c.reply()
}

// Pipeline sends commands without waiting for the replies in between, reads all of these and tells how many were error
// replies. The commands share one timeout.
func (c *Client) Pipeline(calls [][]string) (refused int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	var b []byte
	for _, args := range calls {
		b = request(b, args)
	}
	written := make(chan error, 1)
	go func() { // beside: a server may wait for somebody to read before it takes the rest
		_, err := c.conn.Write(b)
		written <- err
	}()
	for range calls {
		_, err := c.reply()
		var e Error
		if errors.As(err, &e) {
			refused++
		} else if err != nil {
			return refused, errors.Join(err, c.conn.Close(), <-written)
		}
	}
	return refused, <-written
}

func request(b []byte, args []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// String is Do for commands that answer with a string; found is false for a null.
func (c *Client) String(args ...string) (s string, found bool, err error) {
	v, err := c.Do(args...)
	if err != nil || v == nil {
		return "", false, err
	}
	s, ok := v.(string)
	if !ok {
		return "", false, fmt.Errorf("%s answered %T, not a string", args[0], v)
	}
	return s, true, nil
}

// Int is Do for commands that answer with a number.
func (c *Client) Int(args ...string) (int64, error) {
	v, err := c.Do(args...)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%s answered %T, not a number", args[0], v)
	}
	return n, nil
}

// Info returns the fields of INFO.
func (c *Client) Info(section string) (map[string]string, error) {
	text, _, err := c.String("INFO", section)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// maxReply bounds what a broken server can make us allocate.
const maxReply = 64 << 20

func (c *Client) reply() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty line instead of a reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, Error(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("bad reply %q", line)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0 && (kind == '$' || kind == '*'):
		return nil, nil
	case n > maxReply:
		return nil, fmt.Errorf("reply of %d bytes or elements is too big", n)
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	case kind == '*':
		return c.array(n)
	}
	return nil, fmt.Errorf("bad reply %q", line)
}

func (c *Client) array(n int64) (any, error) {
	list := make([]any, 0, min(n, 1024))
	for range n {
		v, err := c.reply()
		var e Error
		if errors.As(err, &e) {
			v, err = e, nil // an error inside EXEC's answer is one element of it
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

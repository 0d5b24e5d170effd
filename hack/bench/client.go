package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// client is a blocking connection.
type client struct {
	conn net.Conn
	r    *resp.Reader
	buf  []byte
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: resp.NewReader(bufio.NewReaderSize(conn, 64<<10))}, nil
}

func (c *client) close() { c.conn.Close() }

func (c *client) do(args ...string) (resp.Value, error) {
	c.buf = resp.AppendCommandStrings(c.buf[:0], args...)
	if _, err := c.conn.Write(c.buf); err != nil {
		return resp.Value{}, err
	}
	v, err := c.r.Read()
	if err == nil {
		err = v.Err()
	}
	return v, err
}

// pipe sends n commands made by next, 256 at a time, and reads their replies.
func (c *client) pipe(n int, next func(i int, dst []byte) []byte) error {
	for i := 0; i < n; {
		c.buf = c.buf[:0]
		batch := min(256, n-i)
		for j := range batch {
			c.buf = next(i+j, c.buf)
		}
		if _, err := c.conn.Write(c.buf); err != nil {
			return err
		}
		for range batch {
			v, err := c.r.Read()
			if err != nil {
				return err
			}
			if err := v.Err(); err != nil {
				return err
			}
		}
		i += batch
	}
	return nil
}

func key(i int) string { return fmt.Sprintf("key:%012d", i) } // 16 bytes

// fill writes keys of 16 bytes with values of 64 bytes.
func fill(addr string, keys int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	return c.pipe(keys, func(i int, dst []byte) []byte {
		return resp.AppendCommandStrings(dst, "SET", key(i), value(i, 64))
	})
}

// value is n bytes that do not compress to nothing.
func value(i, n int) string {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = fmt.Appendf(b, "%016x", r.Uint64())
	}
	return string(b[:n])
}

// churn overwrites every key once with values of random sizes around 64 bytes, deletes a third, writes
// that third again and ends with the same keys and sizes as fill: what the allocator has learnt stays.
func churn(addr string, keys int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	r := rand.New(rand.NewPCG(7, 7))
	steps := []func(i int, dst []byte) []byte{
		func(i int, dst []byte) []byte {
			return resp.AppendCommandStrings(dst, "SET", key(r.IntN(keys)), value(i, 16+r.IntN(112)))
		},
		func(i int, dst []byte) []byte {
			if i%3 == 0 {
				return resp.AppendCommandStrings(dst, "DEL", key(i))
			}
			return resp.AppendCommandStrings(dst, "SET", key(i), value(i, 16+r.IntN(112)))
		},
		func(i int, dst []byte) []byte { return resp.AppendCommandStrings(dst, "SET", key(i), value(i, 64)) },
	}
	for _, step := range steps {
		if err := c.pipe(keys, step); err != nil {
			return err
		}
	}
	return nil
}

// info reads one field of INFO.
func (c *client) info(field string) (string, error) {
	v, err := c.do("INFO", "all")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(v.Str)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return rest, nil
		}
	}
	return "", fmt.Errorf("INFO has no field %s", field)
}

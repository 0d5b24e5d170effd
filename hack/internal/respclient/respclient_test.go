package respclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"
)

// answer is a server that reads one request of the given bytes and answers with others.
func answer(t *testing.T, request, reply string) *Client {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	go func() {
		got := make([]byte, len(request))
		if _, err := io.ReadFull(bufio.NewReader(there), got); err == nil && string(got) == request {
			_, _ = io.WriteString(there, reply)
		}
		there.Close()
	}()
	c, err := Connect(t.Context(), func(context.Context) (net.Conn, error) { return here, nil }, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReplies(t *testing.T) {
	for reply, want := range map[string]any{
		"+OK\r\n":                       "OK",
		":-7\r\n":                       int64(-7),
		"$5\r\nhe\r\nl\r\n":             "he\r\nl",
		"$-1\r\n":                       nil,
		"*-1\r\n":                       nil,
		"*3\r\n$1\r\na\r\n:1\r\n-E\r\n": []any{"a", int64(1), Error("E")},
	} {
		got, err := answer(t, "*1\r\n$4\r\nPING\r\n", reply).Do("PING")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, %v, want %#v", reply, got, err, want)
		}
	}
}

func TestErrorRepliesAreTold(t *testing.T) {
	_, err := answer(t, "*1\r\n$4\r\nPING\r\n", "-READONLY no\r\n").Do("PING")
	var e Error
	if !errors.As(err, &e) || string(e) != "READONLY no" {
		t.Errorf("error reply came as %v", err)
	}
	for _, broken := range []string{"", "\r\n", "?\r\n", "$x\r\n", "$5\r\nab", "*99999999999\r\n"} {
		_, err := answer(t, "*1\r\n$4\r\nPING\r\n", broken).Do("PING")
		if err == nil || errors.As(err, &e) {
			t.Errorf("%q: %v: a broken reply must mean a lost connection", broken, err)
		}
	}
}

func TestPipeline(t *testing.T) {
	const request = "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n"
	calls := [][]string{{"PING"}, {"GET", "a"}, {"PING"}}
	for reply, want := range map[string]struct {
		refused int
		lost    bool
	}{
		"+PONG\r\n$1\r\nv\r\n+PONG\r\n":    {0, false},
		"-A\r\n*2\r\n:1\r\n-B\r\n-ERR\r\n": {2, false},
		"+PONG\r\n-A\r\n":                  {1, true},
	} {
		refused, err := answer(t, request, reply).Pipeline(calls)
		if refused != want.refused || (err != nil) != want.lost {
			t.Errorf("%q: %d refused, %v, want %v", reply, refused, err, want)
		}
	}
}

func TestInfo(t *testing.T) {
	c := answer(t, "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n", "$28\r\n# Replication\r\nrole:master\r\n\r\n")
	info, err := c.Info("replication")
	if err != nil || info["role"] != "master" {
		t.Errorf("%v, %v", info, err)
	}
}

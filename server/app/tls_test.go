package app

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
	"github.com/understudy-db/understudy/server/servertest/port"
)

const tlsHolder = "understudy://test/tls"

func tlsArgs(dir string) []string {
	return []string{"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-key-file", filepath.Join(dir, "tls.key"), "--tls-ca-cert-file", filepath.Join(dir, "ca.crt")}
}

func dialTLS(t *testing.T, at int, config *tls.Config) (*client, error) {
	t.Helper()
	nc, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at)), config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nc.Close() })
	c := &client{t, nc, resp.NewReader(nc)}
	if got := c.do("PING"); got != "PONG" { // with TLS 1.3 a refusal comes after the client's side of the handshake
		return nil, fmt.Errorf("PING: %s", got)
	}
	return c, nil
}

func mustDialTLS(t *testing.T, at int, config *tls.Config) *client {
	t.Helper()
	c, err := dialTLS(t, at, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTLSCarriesEverything: values bigger than any buffer, pipelines deeper than a read, replies that wait for a reader,
// messages, blocked clients, and both versions of the protocol.
func TestTLSCarriesEverything(t *testing.T) {
	authority := pki.New(t)
	at := port.Free(t)
	startAlone(t, shortDir(t), append(tlsArgs(authority.Dir(tlsHolder)), "--save", "", "--tls-port", strconv.Itoa(at))...)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := authority.Client(tlsHolder)
		config.MinVersion, config.MaxVersion = version, version
		c := mustDialTLS(t, at, config)
		big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
		if got := c.do("SET", "big", big); got != "OK" {
			t.Fatal(got)
		}
		if got := c.do("GET", "big"); got != strconv.Quote(big) {
			t.Fatalf("%d bytes came back, wrong", len(got))
		}
		const n = 5000
		var all []byte
		for i := range n {
			all = resp.AppendCommandStrings(all, "ECHO", fmt.Sprint("word ", i))
		}
		_ = c.nc.SetDeadline(time.Now().Add(patience))
		go c.nc.Write(all)
		time.Sleep(50 * time.Millisecond) // let replies pile up
		for i := range n {
			if v, err := c.r.Read(); err != nil || string(v.Str) != fmt.Sprint("word ", i) {
				t.Fatalf("reply %d: %s %v", i, v, err)
			}
		}
		blocked, other := mustDialTLS(t, at, config), mustDialTLS(t, at, config)
		answer := make(chan string)
		go func() { answer <- blocked.do("BLPOP", "list", "10") }()
		time.Sleep(20 * time.Millisecond)
		c.do("RPUSH", "list", "element")
		if got := <-answer; !strings.Contains(got, "element") {
			t.Errorf("BLPOP: %s", got)
		}
		other.do("SUBSCRIBE", "news")
		c.do("PUBLISH", "news", big)
		_ = other.nc.SetDeadline(time.Now().Add(patience))
		if v, err := other.r.Read(); err != nil || len(v.Elems) != 3 || string(v.Elems[2].Str) != big {
			t.Errorf("the message did not come: %v", err)
		}
		if got := c.do("QUIT"); got != "OK" {
			t.Errorf("QUIT: %s", got)
		}
		if _, err := c.nc.Read(make([]byte, 1)); err == nil || err.Error() != "EOF" { // an end without close_notify is another error
			t.Errorf("the end of the connection: %v", err)
		}
	}
}

// TestTLSWhoMayCome: tls-auth-clients, and certificates that CONFIG SET reads again.
func TestTLSWhoMayCome(t *testing.T) {
	authority, foreign := pki.New(t), pki.New(t)
	at := port.Free(t)
	dir := authority.Dir(tlsHolder)
	s := startAlone(t, shortDir(t), append(tlsArgs(dir), "--save", "", "--tls-port", strconv.Itoa(at))...)
	stranger := foreign.Client(tlsHolder)
	stranger.RootCAs = authority.Client("").RootCAs // it trusts the server, which does not trust it
	for auth, want := range map[string][3]bool{"yes": {true, false, false}, "optional": {true, true, false}, "no": {true, true, true}} {
		if got := s.do("CONFIG", "SET", "tls-auth-clients", auth); got != "OK" {
			t.Fatal(got)
		}
		for i, config := range []*tls.Config{authority.Client(tlsHolder), authority.Client(""), stranger} {
			if _, err := dialTLS(t, at, config); (err == nil) != want[i] {
				t.Errorf("tls-auth-clients %s, client %d: %v", auth, i, err)
			}
		}
	}
	if nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at))); err == nil {
		defer nc.Close()
		fmt.Fprint(nc, "PING\r\n")
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		answer := make([]byte, 100)
		n, _ := nc.Read(answer)
		if bytes.Contains(answer[:n], []byte("PONG")) {
			t.Error("tls-port answered in the clear")
		}
	}
	old := mustDialTLS(t, at, authority.Client(tlsHolder))
	if got := s.do("CONFIG", "SET", "tls-cert-file", filepath.Join(dir, "nothing")); !strings.Contains(got, "Unable to update TLS configuration") {
		t.Errorf("a file that is not there: %s", got)
	}
	other := foreign.Dir(tlsHolder)
	if got := s.do("CONFIG", "SET", "tls-cert-file", filepath.Join(other, "tls.crt"), "tls-key-file", filepath.Join(other, "tls.key"),
		"tls-ca-cert-file", filepath.Join(other, "ca.crt"), "tls-auth-clients", "yes"); got != "OK" {
		t.Fatal(got)
	}
	mustDialTLS(t, at, foreign.Client(tlsHolder))
	if _, err := dialTLS(t, at, authority.Client(tlsHolder)); err == nil {
		t.Error("the old authority still counts")
	}
	if got := old.do("PING"); got != "PONG" {
		t.Errorf("a connection from before: %s", got)
	}
	moved := port.Free(t)
	if got := s.do("CONFIG", "SET", "tls-port", strconv.Itoa(moved)); got != "OK" {
		t.Fatal(got)
	}
	mustDialTLS(t, moved, foreign.Client(tlsHolder))
	if _, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at))); err == nil {
		t.Error("the old tls-port still listens")
	}
}

package abuse

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/repl/fence"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

const set = "set-1"

// pod is a managed member: a supervisor, its server and a data set from a file.
type pod struct {
	*servertest.Client
	t          *testing.T
	ca         *pki.Authority
	port       int
	management string
	log        string
}

func startPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{t: t, ca: pki.New(t), port: servertest.FreePort(t), management: fmt.Sprintf("127.0.0.1:%d", servertest.FreePort(t))}
	dir, state := t.TempDir(), t.TempDir()
	p.log = filepath.Join(state, "log")
	file := rdb.AppendMagic(nil, rdb.Version)
	for i := range 200 {
		file = rdb.AppendStringEntry(file, fmt.Appendf(nil, "key:%d", i), []byte("value"), false)
	}
	for path, text := range map[string][]byte{filepath.Join(dir, "dump.rdb"): rdb.AppendEOF(file, rdb.CRC64(0, file), true),
		filepath.Join(state, "password"): []byte("secret\n")} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := servertest.Command(t, "--supervise", "--managed", "--set-uid", set, "--pod-uid", "uid-a", "--pod-name", "a", "--management-addr", p.management,
		"--management-cert-dir", p.ca.Dir("understudy://"+set+"/member/a"), "--http-addr", fmt.Sprintf("127.0.0.1:%d", servertest.FreePort(t)),
		"--password-file", filepath.Join(state, "password"), "--data-dir", dir, "--state-dir", state, "--bind", "127.0.0.1", "--port", fmt.Sprint(p.port),
		"--enable-debug-command", "yes", "--logfile", p.log)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the server dies with its supervisor
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of the member:\n%s", p.text())
		}
	})
	p.Client = servertest.Dial(t, p.port, "secret")
	t.Cleanup(p.Close)
	servertest.Await(t, "the member", func() bool { return !p.Do("GET", "key:1").IsError() })
	return p
}

func (p *pod) text() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// talk opens a conversation and answers what came back to the lines said, until enough was heard or the peer hung up.
func (p *pod) talk(config *tls.Config, enough string, lines ...string) (heard string, err error) {
	p.t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", p.management, config)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	for _, line := range lines {
		if _, err := c.Write([]byte(line)); err != nil {
			break // hung up: what it said is still to be read
		}
	}
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		heard += line
		if err != nil || enough != "" && strings.Contains(heard, enough) {
			return heard, err
		}
	}
}

func line(t *testing.T, m member.Message) string {
	t.Helper()
	text, err := member.Encode(member.Frame{ID: 7, Message: m})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManagementListener: strangers, foreigners and garbage are refused with a reason, and the operator is served all the
// while.
func TestManagementListener(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	digest := p.Must("DEBUG", "DIGEST").String()
	operator := p.ca.Client("understudy://" + set + "/operator")
	hello := line(t, member.Hello{Oldest: 1, Newest: 1, Leader: "test", SetUID: set})
	stranger := pki.New(t).Client("understudy://" + set + "/operator")
	stranger.InsecureSkipVerify = true
	order := member.Order{Term: 1, Met: true, Leader: "test", For: "whoever"}

	for _, c := range []struct {
		name   string
		config *tls.Config
		lines  []string
		heard  string // in what the speaker hears, error included
		logged string
	}{
		{"an authority of its own", stranger, []string{hello}, "unknown certificate authority", "certificate signed by unknown authority"},
		{"no certificate", p.ca.Client(""), []string{hello}, "certificate required", "didn't provide a certificate"},
		{"a foreign set's operator", p.ca.Client("understudy://set-2/operator"), []string{hello}, "tls: ", "the peer belongs to set set-2"},
		{"a foreign set's member", p.ca.Client("understudy://set-2/member/a"), []string{hello}, "tls: ", "the peer belongs to set set-2"},
		{"nobody's certificate", p.ca.Client("http://set-1/operator"), []string{hello}, "tls: ", "names no member and no operator"},
		{"a hello for another set", operator, []string{line(t, member.Hello{Oldest: 1, Newest: 1, SetUID: "set-2"})}, `this member is of set`, "set-2"},
		{"a protocol of the future", operator, []string{line(t, member.Hello{Oldest: 8, Newest: 9, SetUID: set})}, "peer speaks 8 to 9", "peer speaks 8 to 9"},
		{"no hello", operator, []string{line(t, member.Ask{})}, "", "a conversation begins with hello"},
		{"garbage for hello", operator, []string{"\x00\x01garbage\n"}, "", "management frame"},
		{"an oversized line", operator, []string{strings.Repeat("x", 100<<10)}, "", "64 KiB"},
		{"a member that gives orders", p.ca.Client("understudy://" + set + "/member/b"), []string{hello, line(t, member.Adopt{Order: order}), line(t, member.Promote{Order: order}), line(t, member.Park{Order: order})},
			"only the operator gives orders", ""},
		{"an order for somebody else", operator, []string{hello, line(t, member.Adopt{Order: order})}, "meant for whoever", ""},
		{"a kind that nobody knows", operator, []string{hello, "{\"v\":1,\"k\":\"dance\",\"id\":3}\n"}, "unknown message kind", ""},
	} {
		heard, err := p.talk(c.config, c.heard, c.lines...)
		if got := fmt.Sprint(heard, err); !strings.Contains(got, c.heard) {
			t.Errorf("%s: hears %.500s", c.name, got)
		}
		servertest.Await(t, fmt.Sprintf("the log to say %q of %s", c.logged, c.name), func() bool { return strings.Contains(p.text(), c.logged) })
		if heard, _ := p.talk(operator, `"k":"report"`, hello, line(t, member.Ask{})); !strings.Contains(heard, `"k":"report"`) {
			t.Fatalf("after %s the operator hears %.300q", c.name, heard)
		}
	}
	if got := p.Must("DEBUG", "DIGEST").String(); got != digest {
		t.Errorf("the data changed: digest %s, was %s", got, digest)
	}
	if log := p.text(); strings.Contains(log, "panic") || strings.Contains(log, "secret") {
		t.Error("the log tells of a panic, or the password")
	}
}

// TestForeignReplica: a member of another set on the replication port is refused by REPLCONF MEMBER, and gets no data
// afterwards on that connection.
func TestForeignReplica(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	hello := func(q fence.SyncRequest) string {
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(text)
	}
	foreign := hello(fence.SyncRequest{Identity: member.Identity{SetUID: "set-2", Name: "x"}, Term: 1})
	for word, why := range map[string]string{foreign: `replica is of set "set-2", this is "set-1"`, "!!!": "the request cannot be read", "": "the request cannot be read"} {
		got := exchange(t, p.port, encode("AUTH", "secret")+encode("REPLCONF", "MEMBER", word)+encode("PSYNC", "?", "-1"), 1<<20)
		if n := strings.Count(got, "-FENCED "); n != 2 || !strings.Contains(got, why) || strings.Contains(got, "FULLRESYNC") {
			t.Errorf("MEMBER %.20q: answered %q", word, got)
		}
	}
	p.Must("GET", "key:1")
}

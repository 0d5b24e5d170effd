package app

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest/pki"
	"github.com/understudy-db/understudy/server/servertest/port"
)

const asServer = "UNDERSTUDY_TEST_AS_SERVER"

// TestMain lets the test binary stand in for the server's program: supervisor and child are real processes.
func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		if err := loseWithPower(); err != nil {
			panic(err)
		}
		slowDown()
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what has to come: far longer than a busy machine takes.
const patience = time.Minute

// slowFile names a file that takes long to open.
const slowFile = "UNDERSTUDY_TEST_SLOW_FILE"

func slowDown() {
	if name := os.Getenv(slowFile); name != "" {
		disk = fsys.NewFaulty(disk, func(op fsys.Op) error {
			if op.Name == "open" && filepath.Base(op.Path) == name {
				time.Sleep(3 * time.Second)
			}
			return nil
		})
	}
}

const setUID = "0a1b2c3d-set"

// pod is a container of a member: a supervisor and the server that it started.
type pod struct {
	t                *testing.T
	name             string
	cmd              *exec.Cmd
	ca               *pki.Authority
	dataPort         int
	primaryPort      int
	management, http string
	dir, state       string
	args             []string
	exited           chan error // has the outcome once the container ended
	power            string     // not empty: its disks lose what was not synced; see powerDisk
	seed             uint64     // of what its system writes by itself
	slow             string     // not empty: a file that takes long to open; see slowFile
}

func freePort(t *testing.T) int { return port.Free(t) }

func startPod(t *testing.T, ca *pki.Authority, name string, args ...string) *pod {
	t.Helper()
	p := preparePod(t, ca, name, args...)
	p.start()
	return p
}

// preparePod is startPod for a container that does not run yet.
func preparePod(t *testing.T, ca *pki.Authority, name string, args ...string) *pod {
	t.Helper()
	p := &pod{t: t, name: name, ca: ca, dataPort: freePort(t), primaryPort: freePort(t), dir: t.TempDir(), state: t.TempDir()}
	p.management = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p.http = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	password := filepath.Join(p.state, "password")
	if err := os.WriteFile(password, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(p.state, "server.conf")
	if err := os.WriteFile(conf, []byte("bind 127.0.0.1\nrepl-diskless-sync-delay 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = append([]string{"--supervise", "--config", conf, "--managed", "--set-uid", setUID, "--pod-uid", "uid-" + name, "--pod-name", name,
		"--management-addr", p.management, "--management-cert-dir", ca.Dir("understudy://" + setUID + "/member/" + name), "--http-addr", p.http,
		"--password-file", password, "--data-dir", p.dir, "--state-dir", p.state, "--port", strconv.Itoa(p.dataPort),
		"--primary-port", strconv.Itoa(p.primaryPort)}, args...)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // the child dies with its parent
		<-p.exited
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(p.state, "log"))
			t.Logf("log of %s:\n%s", name, text)
		}
	})
	return p
}

// start starts the container, or again after it ended: what is on its disks is there.
func (p *pod) start() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.state, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := exec.Command(os.Args[0], p.args...), make(chan error, 1)
	cmd.Env = append(os.Environ(), asServer+"=1")
	if p.power != "" {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %s %s %s", powerDisk, p.seed, p.power, p.dir, p.state))
	}
	cmd.Env = append(cmd.Env, slowFile+"="+p.slow)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.exited = cmd, exited
	go func() { exited <- cmd.Wait(); log.Close() }()
}

// stop ends the container as the kubelet does.
func (p *pod) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.mustEnd()
}

func (p *pod) mustEnd() {
	p.t.Helper()
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Errorf("exit: %v", err)
		}
		p.exited <- err
	case <-time.After(patience):
		p.t.Fatal("the container does not end")
	}
}

// child is the process id of the server.
func (p *pod) child() int {
	p.t.Helper()
	pid := p.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		p.t.Fatal(err)
	}
	all := string(text)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		more, _ := os.ReadFile(task)
		all += " " + string(more)
	}
	for _, w := range strings.Fields(all) {
		if n, err := strconv.Atoi(w); err == nil {
			return n
		}
	}
	p.t.Fatal("the supervisor has no child")
	return 0
}

// leader is the operator's end of one connection.
type leader struct {
	p      *pod
	nc     net.Conn
	r      *bufio.Reader
	id     uint64
	hello  member.Hello
	deaths []member.Death
}

// meet dials until the process wanted answers: the server itself, not its supervisor.
func (p *pod) meet(after member.Incarnation) *leader {
	p.t.Helper()
	var deaths []member.Death
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		l, err := p.dial()
		if err != nil {
			continue
		}
		if !l.hello.Supervisor && l.hello.Member.Incarnation != after {
			l.deaths = deaths
			return l
		}
		l.nc.Close()
	}
	p.t.Fatalf("%s does not answer on its management port", p.name)
	return nil
}

func (p *pod) dial() (*leader, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", p.management, p.ca.Client("understudy://"+setUID+"/operator"))
	if err != nil {
		return nil, err
	}
	l := &leader{p: p, nc: nc, r: member.NewReader(nc)}
	p.t.Cleanup(func() { nc.Close() })
	if err := l.say(member.Hello{Oldest: 1, Newest: 1, Leader: "test", SetUID: setUID}); err != nil {
		return nil, err
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	f, err := member.ReadFrame(l.r)
	if err != nil {
		nc.Close()
		return nil, err
	}
	h, ok := f.Message.(member.Hello)
	if !ok {
		return nil, fmt.Errorf("answered %+v", f.Message)
	}
	l.hello = h
	return l, nil
}

func (l *leader) say(m member.Message) error {
	l.id++
	line, err := member.Encode(member.Frame{ID: l.id, Message: m})
	if err == nil {
		_, err = l.nc.Write(line)
	}
	return err
}

func (l *leader) inc() member.Incarnation { return l.hello.Member.Incarnation }

func (l *leader) order(term member.Term) member.Order {
	return member.Order{Term: term, For: l.inc(), Met: true, Leader: "test"}
}

// until reads on until a message satisfies ok; lease requests are granted on the way when grant is set.
func (l *leader) until(what string, grant bool, ok func(member.Frame) bool) member.Message {
	l.p.t.Helper()
	end := time.Now().Add(patience)
	for {
		_ = l.nc.SetReadDeadline(end)
		f, err := member.ReadFrame(l.r)
		if err != nil {
			l.p.t.Fatalf("waiting for %s of %s: %v", what, l.p.name, err)
		}
		if q, is := f.Message.(member.LeaseRequest); is && grant {
			if err := l.say(member.Lease{LeaseRequest: q}); err != nil {
				l.p.t.Fatal(err)
			}
		}
		if ok(f) {
			return f.Message
		}
	}
}

func (l *leader) ask(m member.Message) member.Message {
	l.p.t.Helper()
	if err := l.say(m); err != nil {
		l.p.t.Fatal(err)
	}
	id := l.id
	return l.until("the answer to "+string(m.Kind()), false, func(f member.Frame) bool { return f.Re == id })
}

func mustBe[M member.Message](t *testing.T, m member.Message) M {
	t.Helper()
	want, ok := m.(M)
	if !ok {
		t.Fatalf("answered %s %+v", m.Kind(), m)
	}
	return want
}

func (l *leader) report() member.Report {
	l.p.t.Helper()
	return mustBe[member.Report](l.p.t, l.ask(member.Ask{}))
}

func (l *leader) eventually(what string, ok func(member.Report) bool) {
	l.p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok(l.report()) {
			return
		}
	}
	l.p.t.Fatalf("%s never: %s; report %+v", l.p.name, what, l.report())
}

func (l *leader) upstream() member.Upstream {
	id := l.hello.Member
	return member.Upstream{Name: id.Name, Addr: fmt.Sprintf("127.0.0.1:%d", l.p.dataPort), Voter: id.Voter, Incarnation: id.Incarnation}
}

// client talks to a member as an application does.
type client struct {
	t  *testing.T
	nc net.Conn
	r  *resp.Reader
}

func (p *pod) client() *client {
	p.t.Helper()
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.dataPort))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	c := &client{p.t, nc, resp.NewReader(nc)}
	if got := c.do("AUTH", "pw"); got != "OK" {
		p.t.Fatalf("AUTH: %s", got)
	}
	return c
}

func (c *client) do(words ...string) string {
	c.t.Helper()
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		return "(" + err.Error() + ")"
	}
	v, err := c.r.Read()
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return v.String()
}

func (p *pod) status(path string) int {
	p.t.Helper()
	r, err := http.Get("http://" + p.http + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func roster(version uint64, names ...string) member.Rosters {
	var voters []member.Voter
	for _, n := range names {
		voters = append(voters, member.Voter("uid-"+n))
	}
	return member.Rosters{New: member.Roster{Version: version, Voters: voters}}
}

func promote(l *leader, term member.Term, rosters member.Rosters) {
	l.p.t.Helper()
	promoteFor(l, term, rosters, longLease)
}

// longLease is one that no busy machine uses up between two heartbeats: in most tests no lease ends.
const longLease = 10 * time.Second

func promoteFor(l *leader, term member.Term, rosters member.Rosters, lease time.Duration) {
	l.p.t.Helper()
	mustBe[member.Done](l.p.t, l.ask(member.Promote{Order: l.order(term), Voter: l.hello.Member.Voter, Rosters: rosters,
		ReplID: fmt.Sprintf("%040d", term), Lease: lease}))
}

// mount replaces a file as the kubelet does: nobody finds half of it.
func (p *pod) mount(name, text string) {
	p.t.Helper()
	aside := filepath.Join(p.state, name+".new")
	err := os.WriteFile(aside, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(aside, filepath.Join(p.state, name))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

package history

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/pki"
	"github.com/understudy-db/understudy/server/servertest/port"
)

var binary string // the server's program

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", binary, "./server")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the server: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	setUID = "history-set"
	lease  = time.Second
)

// node is a member: a supervisor and the server that it started, both of them processes.
type node struct {
	t                     *testing.T
	name                  string
	cmd                   *exec.Cmd
	ca                    *pki.Authority
	data, primary, manage int
	state                 string

	clients *servertest.Proxy            // to the primary port, for clients
	relay   *servertest.Proxy            // to the primary port, for other members
	orders  *servertest.Proxy            // to the management port
	feeds   map[string]*servertest.Proxy // to the data port, by the follower
}

func startNode(t *testing.T, ca *pki.Authority, name string) *node {
	n := &node{t: t, name: name, ca: ca, data: port.Free(t), primary: port.Free(t), manage: port.Free(t), state: t.TempDir(), feeds: map[string]*servertest.Proxy{}}
	password := filepath.Join(n.state, "password")
	if err := os.WriteFile(password, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(n.state, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(binary, "--supervise", "--managed", "--set-uid", setUID, "--pod-uid", "uid-"+name, "--pod-name", name,
		"--management-addr", fmt.Sprint("127.0.0.1:", n.manage), "--management-cert-dir", ca.Dir("understudy://"+setUID+"/member/"+name),
		"--http-addr", fmt.Sprint("127.0.0.1:", port.Free(t)), "--password-file", password, "--data-dir", t.TempDir(), "--state-dir", n.state,
		"--port", strconv.Itoa(n.data), "--primary-port", strconv.Itoa(n.primary), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0",
		"--save", "", "--synchronous-timeout", "1000")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.signal(syscall.SIGCONT)
		_ = n.cmd.Process.Kill() // the server ends with its supervisor
		_ = n.cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of %s:\n%s", name, text)
		}
	})
	n.clients, n.relay, n.orders = servertest.NewProxy(t, n.primary), servertest.NewProxy(t, n.primary), servertest.NewProxy(t, n.manage)
	return n
}

// signal reaches the server, not its supervisor. It is harmless when there is none now.
func (n *node) signal(s syscall.Signal) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", n.cmd.Process.Pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, w := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(w); err == nil {
				_ = syscall.Kill(pid, s)
			}
		}
	}
}

// errSupervisor: the server process is not there.
var errSupervisor = errors.New("only the supervisor answers")

// call asks one question on a connection of its own and returns the answer, with the incarnation that gave it.
func (n *node) call(question func(member.Incarnation) member.Message) (member.Message, member.Incarnation, error) {
	d := net.Dialer{Timeout: time.Second}
	nc, err := tls.DialWithDialer(&d, "tcp", fmt.Sprint("127.0.0.1:", n.orders.Port()), n.ca.Client("understudy://"+setUID+"/operator"))
	if err != nil {
		return nil, "", err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	say := func(id uint64, m member.Message) error {
		line, err := member.Encode(member.Frame{ID: id, Message: m})
		if err == nil {
			_, err = nc.Write(line)
		}
		return err
	}
	if err := say(1, member.Hello{Oldest: 1, Newest: 1, Leader: "test", SetUID: setUID}); err != nil {
		return nil, "", err
	}
	r := bufio.NewReader(nc)
	inc := member.Incarnation("")
	for {
		f, err := member.ReadFrame(r)
		if err != nil {
			return nil, inc, err
		}
		switch m := f.Message.(type) {
		case member.Hello:
			if m.Supervisor || m.Member == nil {
				return nil, "", errSupervisor
			}
			inc = m.Member.Incarnation
			if err := say(2, question(inc)); err != nil {
				return nil, inc, err
			}
		default:
			if f.Re == 2 {
				return f.Message, inc, nil
			}
		}
	}
}

func (n *node) report() (member.Report, error) {
	m, _, err := n.call(func(member.Incarnation) member.Message { return member.Ask{} })
	if err != nil {
		return member.Report{}, err
	}
	r, ok := m.(member.Report)
	if !ok {
		return r, fmt.Errorf("%s answers %s", n.name, m.Kind())
	}
	return r, nil
}

func (n *node) voter() member.Voter { return member.Voter("uid-" + n.name) }

// set is three members, every link between them a proxy.
type set struct {
	t     *testing.T
	nodes []*node
}

func startSet(t *testing.T) *set {
	ca := pki.New(t)
	s := &set{t: t}
	for _, name := range []string{"a", "b", "c"} {
		s.nodes = append(s.nodes, startNode(t, ca, name))
	}
	for _, n := range s.nodes {
		for _, f := range s.nodes {
			if f != n {
				n.feeds[f.name] = servertest.NewProxy(t, n.data)
			}
		}
	}
	return s
}

// isolate cuts n off from operator and members, in silence; its clients still reach it.
func (s *set) isolate(n *node, on bool) {
	n.orders.Stall(on)
	n.relay.Stall(on)
	s.starve(n, on)
	for _, m := range s.nodes {
		if m != n {
			m.feeds[n.name].Stall(on)
		}
	}
}

// starve holds back the stream from n.
func (s *set) starve(n *node, on bool) {
	for _, p := range n.feeds {
		p.Stall(on)
	}
}

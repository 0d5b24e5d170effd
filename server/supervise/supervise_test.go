package supervise

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage/mtls"
	"github.com/understudy-db/understudy/server/servertest/port"
)

const (
	setUID   = "set-1"
	modeEnv  = "SUPERVISE_TEST_MODE"
	dirEnv   = "SUPERVISE_TEST_DIR"
	httpEnv  = "SUPERVISE_TEST_HTTP"
	addrEnv  = "SUPERVISE_TEST_ADDR"
	crashEnv = "SUPERVISE_TEST_CRASH"
)

// TestMain lets the test binary play the supervisor and the server process of the real-process tests.
func TestMain(m *testing.M) {
	switch os.Getenv(modeEnv) {
	case "supervisor":
		os.Setenv(modeEnv, "server")
		os.Exit(Run(Config{
			Program:        os.Args[0],
			Identity:       member.Identity{SetUID: setUID, Name: "a", Voter: "pod-a"},
			ManagementAddr: os.Getenv(addrEnv), CertDir: os.Getenv(dirEnv), HTTPAddr: os.Getenv(httpEnv), StateDir: filepath.Join(os.Getenv(dirEnv), "state"),
			Log:    func(f string, a ...any) { fmt.Fprintf(os.Stderr, "supervisor: "+f+"\n", a...) },
			Stdout: os.Stdout, Stderr: os.Stderr,
		}))
	case "server":
		os.Exit(playServer())
	}
	os.Exit(m.Run())
}

// playServer is a server process that greets, serves /readyz, and leaves its pid in a file.
func playServer() int {
	c, ok, err := FromEnvironment()
	if !ok || err != nil {
		fmt.Fprintln(os.Stderr, "server: no supervisor:", err)
		return 3
	}
	dir := os.Getenv(dirEnv)
	os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
	if os.Getenv(crashEnv) != "" {
		return 7
	}
	id, err := mtls.New(dir, setUID)
	if err != nil {
		return 4
	}
	os.Remove(c.HTTPSocket)
	ul, err := net.Listen("unix", c.HTTPSocket)
	if err != nil {
		return 5
	}
	go http.Serve(ul, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from the server "+r.URL.Path) }))
	ln := tls.NewListener(c.Management, id.ServerConfig())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				who := member.Identity{SetUID: setUID, Name: "a", Voter: "pod-a", Incarnation: c.Incarnation}
				line, _ := member.Encode(member.Frame{Message: member.Hello{Oldest: 1, Newest: 1, SetUID: setUID, Member: &who}})
				conn.Write(line)
				for _, d := range c.Deaths {
					line, _ := member.Encode(member.Frame{Message: d})
					conn.Write(line)
				}
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	if err := c.Ready(); err != nil {
		return 6
	}
	select {}
}

// world is one supervisor process with its certificates.
type world struct {
	t          *testing.T
	dir        string
	addr, http string
	operator   *tls.Config
	cmd        *exec.Cmd
}

func start(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), addr: free(t), http: free(t)}
	w.operator = issueAll(t, w.dir)
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(append(os.Environ(), modeEnv+"=supervisor", dirEnv+"="+w.dir, httpEnv+"="+w.http, addrEnv+"="+w.addr), env...)
	w.cmd.Stderr = testLog{t}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.cmd.Process.Kill()
		w.cmd.Wait()
	})
	return w
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func free(t *testing.T) string { return "127.0.0.1:" + strconv.Itoa(port.Free(t)) }

// issueAll makes an authority, writes a member's files to dir and returns the operator's client configuration.
func issueAll(t *testing.T, dir string) *tls.Config {
	t.Helper()
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(path string) ([]byte, []byte) {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			URIs: []*url.URL{{Scheme: "understudy", Host: setUID, Path: path}}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, _ := x509.MarshalECPrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	}
	cert, key := issue("/member/a")
	for name, data := range map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key = issue("/operator")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
}

// meet dials as the operator until somebody says Hello, and returns the greeting and what follows it.
func (w *world) meet() (member.Hello, []member.Death) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if h, deaths, err := w.try(); err == nil {
			return h, deaths
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatal("nobody answers on the management listener")
	return member.Hello{}, nil
}

func (w *world) try() (h member.Hello, deaths []member.Death, err error) {
	raw, err := net.DialTimeout("tcp", w.addr, time.Second)
	if err != nil {
		return h, nil, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(3 * time.Second))
	c := tls.Client(raw, w.operator)
	line, _ := member.Encode(member.Frame{Message: member.Hello{Oldest: 1, Newest: 1, SetUID: setUID, Leader: "op"}})
	if _, err := c.Write(line); err != nil {
		return h, nil, err
	}
	r := member.NewReader(c)
	first, err := member.ReadFrame(r)
	if err != nil {
		return h, nil, err
	}
	h, ok := first.Message.(member.Hello)
	if !ok {
		return h, nil, fmt.Errorf("first message %T", first.Message)
	}
	raw.SetDeadline(time.Now().Add(50 * time.Millisecond))
	for {
		f, err := member.ReadFrame(r)
		if err != nil {
			return h, deaths, nil
		}
		if d, ok := f.Message.(member.Death); ok {
			deaths = append(deaths, d)
		}
	}
}

func (w *world) childPid() int {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "pid"))
	if err != nil {
		w.t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	return pid
}

func TestKillIsProvenAndTheNextProcessIsNewer(t *testing.T) {
	w := start(t)
	before, deaths := w.meet()
	if before.Supervisor || len(deaths) != 0 || before.Member.Incarnation.Seq() != 1 {
		t.Fatalf("first meeting: %+v, deaths %v", before, deaths)
	}
	if err := syscall.Kill(w.childPid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		h, deaths := w.meet()
		if len(deaths) > 0 {
			d := deaths[0]
			if d.Identity.Incarnation != before.Member.Incarnation || d.Identity.Voter != "pod-a" || !strings.Contains(d.Cause, "killed") {
				t.Fatalf("proof %+v, want incarnation %s killed", d, before.Member.Incarnation)
			}
			if !h.Supervisor && !h.Member.Incarnation.NewerThan(before.Member.Incarnation) {
				t.Fatalf("the next process %s is not newer than %s", h.Member.Incarnation, before.Member.Incarnation)
			}
			if !h.Supervisor {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no new process told the proof")
		}
	}
}

func TestSupervisorAnswersForAProcessThatCannotStart(t *testing.T) {
	w := start(t, crashEnv+"=1")
	deadline := time.Now().Add(30 * time.Second)
	for {
		h, deaths := w.meet()
		if h.Supervisor && len(deaths) > 0 && strings.Contains(deaths[0].Cause, "exit status 7") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no proof of a process that ends at once")
		}
	}
	if code, body := w.get("/livez"); code != 200 {
		t.Errorf("/livez %d %s while the server crashes, want 200: the kubelet must not kill the supervisor", code, body)
	}
	if code, _ := w.get("/readyz"); code != 503 {
		t.Errorf("/readyz %d without a server process, want 503", code)
	}
}

func (w *world) get(path string) (int, string) {
	w.t.Helper()
	resp, err := http.Get("http://" + w.http + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestStoppedProcessStaysAliveAndIsNotDeclaredDead(t *testing.T) {
	w := start(t)
	w.meet()
	pid := w.childPid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	time.Sleep(100 * time.Millisecond)
	if code, _ := w.get("/livez"); code != 200 {
		t.Errorf("/livez %d with a stopped process, want 200", code)
	}
	if deaths, err := loadDeaths(filepath.Join(w.dir, "state")); err != nil || len(deaths) != 0 {
		t.Errorf("deaths %v, %v: a stopped process is not dead (rule 10)", deaths, err)
	}
}

func TestHealthIsPassedOn(t *testing.T) {
	w := start(t)
	w.meet()
	if code, body := w.get("/metrics"); code != 200 || body != "from the server /metrics" {
		t.Errorf("/metrics %d %q", code, body)
	}
}

func TestTermEndsBoth(t *testing.T) {
	w := start(t)
	w.meet()
	pid := w.childPid()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := w.cmd.Wait()
	var exit *exec.ExitError
	if !asExit(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("supervisor ended with %v, want the child's 143", err)
	}
	if syscall.Kill(pid, 0) == nil {
		t.Errorf("process %d outlived its supervisor", pid)
	}
}

func asExit(err error, into **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*into = e
	return ok
}

func TestIncarnationsCountUpAndADamagedCountIsRefused(t *testing.T) {
	dir := t.TempDir()
	a, err := nextIncarnation(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := nextIncarnation(dir)
	if err != nil || !b.NewerThan(a) {
		t.Fatalf("%s then %s, %v", a, b, err)
	}
	os.WriteFile(filepath.Join(dir, startsFile), []byte("x"), 0o600)
	if _, err := nextIncarnation(dir); err == nil {
		t.Error("a damaged count was taken: an old incarnation could look newer than a living one")
	}
}

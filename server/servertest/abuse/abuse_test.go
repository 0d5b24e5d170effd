package abuse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// patience is how long a test waits for what has to come: far longer than a busy machine takes.
const patience = time.Minute

// slack is how much resident memory an attack may leave behind: the Go heap gives memory back in its own time.
const slack = shadow * 64 << 20

// victim is a server process with data in it, and what it was like before the attack.
type victim struct {
	*servertest.Process
	t           testing.TB
	digest, run string
	resident    int64
	files       int
}

func newVictim(t *testing.T, args ...string) *victim {
	t.Helper()
	v := &victim{Process: servertest.StartProcess(t, args...), t: t}
	fill(v.Process)
	v.remember()
	return v
}

// fill writes the keys that must be there afterwards.
func fill(p servertest.Peer) {
	for i := range 300 {
		p.Must("SET", fmt.Sprint("key:", i), strings.Repeat("v", i))
	}
	p.Must("SET", "big", strings.Repeat("b", 1<<20))
	for i := range 200 {
		p.Must("HSET", "hash", fmt.Sprint("field:", i), fmt.Sprint(i))
	}
	p.Must("SET", "later", "x", "PXAT", "4102444800000")
}

func (v *victim) remember() {
	v.digest, v.run = v.Must("DEBUG", "DIGEST").String(), v.Info("run_id")
	v.resident, v.files = v.memory(), v.descriptors()
}

// unharmed is how a test ends.
func (v *victim) unharmed() {
	v.t.Helper()
	if got := v.Info("run_id"); got != v.run {
		v.t.Fatalf("run_id was %s, is %q: the process ended or does not answer", v.run, got)
	}
	if got := v.Must("DEBUG", "DIGEST").String(); got != v.digest {
		v.t.Errorf("the data changed: digest %s, was %s", got, v.digest)
	}
	if log := v.Log(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		v.t.Error("the server panicked")
	}
	for end := time.Now().Add(patience); v.descriptors() > v.files; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("%d descriptors are open, %d were before:\n%s\n%s", v.descriptors(), v.files, v.openFiles(), v.Must("CLIENT", "LIST").String())
		}
	}
	if now := v.memory(); now > v.resident+slack {
		v.t.Errorf("resident memory went from %d to %d MiB", v.resident>>20, now>>20)
	}
}

// memory is the resident size in bytes.
func (v *victim) memory() int64 {
	v.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.Pid()))
	if err != nil {
		v.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		v.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// busy is the processor time that the process has taken, in ticks of 10 ms: on a busy machine the clock tells nothing.
func (v *victim) busy() time.Duration {
	v.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.Pid()))
	if err != nil {
		v.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have blanks; see proc(5)
	var ticks time.Duration
	for _, field := range strings.Fields(rest)[11:13] { // of the process, and of the kernel for it
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			v.t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

func (v *victim) descriptors() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.Pid()))
	if err != nil {
		v.t.Fatal(err)
	}
	return len(list)
}

func (v *victim) openFiles() (list string) {
	dir := fmt.Sprintf("/proc/%d/fd/", v.Pid())
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		to, _ := os.Readlink(dir + n.Name())
		list += n.Name() + " " + to + "\n"
	}
	return list
}

// wire is a connection that says anything.
type wire struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, port int) *wire {
	t.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c}
}

// say sends; a peer that has hung up already is no failure.
func (w *wire) say(text string) {
	_ = w.SetWriteDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(w, text)
}

// hear reads until something that ends with end came, or the connection ended.
func (w *wire) hear(end string) string {
	w.t.Helper()
	return w.hearUntil(func(all []byte) bool { return end != "" && bytes.HasSuffix(all, []byte(end)) })
}

// hearUntil reads until it is enough, or the connection ended.
func (w *wire) hearUntil(enough func(all []byte) bool) string {
	w.t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		_ = w.SetReadDeadline(time.Now().Add(patience))
		n, err := w.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil || enough(all) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return string(all) + "<silence>"
			}
			return string(all)
		}
	}
}

// last is everything until the peer hangs up.
func (w *wire) last() string { w.t.Helper(); return w.hear("") }

// reset ends the connection with RST instead of FIN.
func (w *wire) reset() {
	_ = w.Conn.(*net.TCPConn).SetLinger(0)
	w.Close()
}

// encode is a command as clients send it.
func encode(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

package abuse

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestTwoDataSetsThatDoNotFit: a replica whose memory may hold 1.3 times its data is given a data set of the same size, which is a
// twentieth of that in a file. It gives the old one up in time, once the whole payload has arrived.
func TestTwoDataSetsThatDoNotFit(t *testing.T) {
	populate := []string{"DEBUG", "POPULATE", "400000", "old", "250"}
	v := &victim{Process: servertest.StartProcess(t), t: t}
	v.Must(populate...)
	used, err := strconv.ParseInt(v.Info("used_memory"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	limit := used * 13 / 10
	v.Must("CONFIG", "SET", "maxmemory", fmt.Sprint(limit))
	master := servertest.StartProcess(t, "--repl-diskless-sync-delay", "0")
	populate[3] = "new"
	master.Must(populate...)

	v.forgetPeak()
	v.Must("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
	servertest.AwaitLink(t, v)
	servertest.MustAgree(t, master, v)
	if peak := v.peak(); peak > shadow*limit+slack {
		t.Errorf("%d MiB of data, a limit of %d MiB: %d MiB were resident", used>>20, limit>>20, peak>>20)
	}
	if log := v.Log(); !strings.Contains(log, "Flushing old data") {
		t.Error("the log does not say that the old data was given up")
	}
}

// forgetPeak makes the kernel measure the highest resident size from now on; see proc(5), clear_refs.
func (v *victim) forgetPeak() {
	v.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", v.Pid()), []byte("5"), 0); err != nil {
		v.t.Fatal(err)
	}
}

// peak is the highest resident size since then, in bytes.
func (v *victim) peak() int64 {
	v.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.Pid()))
	if err != nil {
		v.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		v.t.Fatal(err)
	}
	return kib << 10
}

package servertest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests and fails when one of them left a goroutine of ours running, or a file or socket open.
func Main(m *testing.M) {
	beServer()
	before := openFiles()
	code := m.Run()
	if code == 0 {
		if left := leaks(before); left != "" {
			fmt.Fprintln(os.Stderr, "FAIL: the tests left behind:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

func leaks(before int) (left string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = ""
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for g := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(g, "understudy/server/") && !strings.Contains(g, "servertest.Main") {
				left += g + "\n\n"
			}
		}
		if n := openFiles(); n > before {
			left += fmt.Sprintf("%d open files, %d at the start", n, before)
		}
		if left == "" {
			return ""
		}
	}
	return left
}

// openFiles counts the descriptors of this process, 0 where /proc does not tell. The runtime's own (epoll) come with the
// first connection, so it makes one.
func openFiles() int {
	c := &Client{addr: "127.0.0.1:1"}
	c.Do("PING")
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

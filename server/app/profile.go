package app

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profileTime is how long a CPU profile lasts.
const profileTime = 10 * time.Second

// profile writes a CPU profile of the next ten seconds and then a heap profile into dir: what SIGUSR1 asks for. Read
// them with `go tool pprof`.
func profile(dir string, logf func(format string, args ...any)) {
	name := filepath.Join(dir, fmt.Sprintf("cpu-%d.pprof", os.Getpid()))
	f, err := os.Create(name)
	if err != nil {
		logf("Profile: %v", err)
		return
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		logf("Profile: %v", err) // one is being written already
		return
	}
	logf("Profile: writing %s for %v", name, profileTime)
	time.Sleep(profileTime)
	pprof.StopCPUProfile()
	heap, err := os.Create(filepath.Join(dir, fmt.Sprintf("heap-%d.pprof", os.Getpid())))
	if err != nil {
		logf("Profile: %v", err)
		return
	}
	defer heap.Close()
	if err := pprof.WriteHeapProfile(heap); err != nil {
		logf("Profile: %v", err)
	}
}

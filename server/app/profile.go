package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profileTime is how long a CPU profile lasts.
const profileTime = 10 * time.Second

// profile writes a CPU profile of the next ten seconds and then one of the heap and one of the goroutines into dir: what
// SIGUSR1 asks for. Read them with `go tool pprof`.
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
	for _, kind := range []string{"heap", "goroutine"} {
		if err := profileOf(kind, filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", kind, os.Getpid()))); err != nil {
			logf("Profile: %v", err)
		}
	}
}

func profileOf(kind, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
}

package supervise

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is named by its number and its start time, so that a number given to another process later is never taken
// for ours.

// StartTime returns when a living process started, in clock ticks since boot; 0 when there is no such process or it is
// a zombie.
func StartTime(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// the name in parentheses may hold spaces; the fields after it are fixed: state is the 1st, start time the 20th
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0
	}
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0
	}
	t, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return t
}

// WritePID records a process in a file.
func WritePID(path string, pid int) error {
	return os.WriteFile(path, fmt.Appendf(nil, "%d %d\n", pid, StartTime(pid)), 0o644)
}

// ReadPID returns the process that a file records if that very process still lives.
func ReadPID(path string) (pid int, alive bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	var start uint64
	if _, err := fmt.Sscan(string(b), &pid, &start); err != nil {
		return 0, false
	}
	return pid, start != 0 && StartTime(pid) == start
}

// EndRecorded kills the process that a file records, waits until it is gone, and removes the file. It never touches a
// process that only has the same number.
func EndRecorded(path string) error {
	pid, alive := ReadPID(path)
	if alive {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("cannot end process %d of %s: %w", pid, path, err)
		}
		for i := 0; alive && i < 500; i++ {
			time.Sleep(10 * time.Millisecond)
			_, alive = ReadPID(path)
		}
		if alive {
			return fmt.Errorf("process %d of %s does not end", pid, path)
		}
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

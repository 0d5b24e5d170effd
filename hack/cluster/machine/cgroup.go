package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroupMount = "/sys/fs/cgroup"

// v1Controllers are the hierarchies that a kubelet uses under cgroup v1, when they are mounted.
var v1Controllers = []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd", "hugetlb", "net_cls", "perf_event"}

// MakeCgroup makes the control group under which a node's pods live, in every hierarchy.
func MakeCgroup(name string) error {
	if exists(cgroupMount + "/cgroup.controllers") {
		return makeCgroupV2(name)
	}
	for _, c := range v1Controllers {
		if !exists(filepath.Join(cgroupMount, c)) {
			continue
		}
		dir := filepath.Join(cgroupMount, c, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			return fmt.Errorf("%w: control groups must be writable", err)
		}
	}
	// a task cannot join a cpuset that has no cores or memory nodes, and a new one has none
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(cgroupMount, "cpuset", file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(cgroupMount, "cpuset", name, file), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func makeCgroupV2(name string) error {
	b, err := os.ReadFile(cgroupMount + "/cgroup.controllers")
	if err != nil {
		return err
	}
	for c := range strings.FieldsSeq(string(b)) {
		// a controller that refuses is one that the kubelet can do without or will name itself
		_ = os.WriteFile(cgroupMount+"/cgroup.subtree_control", []byte("+"+c), 0o644)
	}
	if err := os.Mkdir(filepath.Join(cgroupMount, name), 0o755); err != nil && !os.IsExist(err) {
		return fmt.Errorf("%w: control groups must be writable", err)
	}
	return nil
}

// RemoveCgroup removes a node's control groups. The processes in them must have been killed; the kernel may need a
// moment to let go of them, so it tries for a few seconds.
func RemoveCgroup(name string) error {
	var failed []error
	for range 50 {
		failed = nil
		for _, top := range cgroupTops(name) {
			failed = append(failed, removeTree(top))
		}
		if errors.Join(failed...) == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(failed...)
}

// CgroupLeft tells whether any control group of that name is left.
func CgroupLeft(name string) bool { return len(cgroupTops(name)) > 0 }

func cgroupTops(name string) []string {
	var tops []string
	for _, pattern := range []string{filepath.Join(cgroupMount, name), filepath.Join(cgroupMount, "*", name)} {
		found, _ := filepath.Glob(pattern)
		tops = append(tops, found...)
	}
	return tops
}

// removeTree removes the folders of a control group bottom up; the files in them go with them.
func removeTree(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
			return fmt.Errorf("control group %s: %w", dir, err)
		}
	}
	return nil
}

// ProcessesOf returns the processes of the container whose ID stands in their control group's path; childrenOnly leaves
// out the container's process 1.
func ProcessesOf(containerID string, childrenOnly bool) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), containerID) {
			continue // not ours, or gone since
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return nil, err
		}
		if !childrenOnly || !firstOfNamespace(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// firstOfNamespace tells whether a process is number 1 of its own PID namespace.
func firstOfNamespace(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			return len(fields) > 1 && fields[len(fields)-1] == "1"
		}
	}
	return false
}

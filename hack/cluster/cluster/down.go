package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
	"github.com/understudy-db/understudy/hack/cluster/plan"
	"github.com/understudy-db/understudy/hack/cluster/supervise"
)

// Down ends the cluster and removes all of its state. It works whatever a crash left: each step looks for what is there.
func (d *Driver) Down() error {
	if os.Geteuid() != 0 {
		return errors.New("ending a cluster needs root: run it with sudo")
	}
	p, err := plan.New(d.Dir, "", plan.MaxNodes) // the most that can be left; the record may be damaged
	if err != nil {
		return err
	}
	if err := d.clean(p); err != nil {
		return err
	}
	d.say("down: nothing is left but caches")
	return nil
}

func (d *Driver) clean(p *plan.Plan) error {
	if err := d.endProcesses(); err != nil {
		return err
	}
	all, err := plan.New(d.Dir, "", plan.MaxNodes)
	if err != nil {
		return err
	}
	failed := []error{machine.RemoveNetwork(p)}
	for _, n := range all.Nodes {
		failed = append(failed, machine.RemoveCgroup(n.Cgroup))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return os.RemoveAll(d.Dir)
}

// endProcesses ends exactly the processes that the cluster's folder records, the supervisor last.
func (d *Driver) endProcesses() error {
	if d.Running() {
		if err := d.supervisor().Quit(); err != nil {
			d.say("%v; ending its processes one by one", err)
		} else {
			d.waitGone()
		}
	}
	files, err := filepath.Glob(filepath.Join(d.Dir, "pids", "*.pid"))
	if err != nil {
		return err
	}
	for _, f := range append(files, d.supervisorPID()) {
		if err := supervise.EndRecorded(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) waitGone() {
	for range 200 {
		if !d.Running() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Leftovers lists what of a cluster is still on this machine; a clean stop leaves nothing.
func (d *Driver) Leftovers() []string {
	var left []string
	if _, err := os.Stat(d.Dir); err == nil {
		left = append(left, "folder "+d.Dir)
	}
	if machine.LinkExists(plan.HostLink) {
		left = append(left, "link "+plan.HostLink)
	}
	all, err := plan.New(d.Dir, "", plan.MaxNodes)
	if err != nil {
		return append(left, err.Error())
	}
	for _, n := range all.Nodes {
		if machine.CgroupLeft(n.Cgroup) {
			left = append(left, "control group "+n.Cgroup)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err == nil {
		left = append(left, mountsBelow(string(mounts), d.Dir)...)
	}
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err == nil && below(exe, d.Dir) {
			left = append(left, fmt.Sprintf("process %s (%s)", filepath.Base(dir), exe))
		}
	}
	return left
}

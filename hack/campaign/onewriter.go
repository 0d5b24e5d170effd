package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
	"github.com/understudy-db/understudy/hack/internal/testbed"
	"github.com/understudy-db/understudy/server/engine"
)

const ackPath = "/data/acks"

// oneWriter keeps a direct writer on every member, breaks things at random, and compares the intervals in which the
// members acknowledged writes: S1 says that no two of different members overlap.
func oneWriter(ctx context.Context, w *world, o options, r *report) error {
	fencing := "Strict"
	if o.unfenced {
		fencing = "None"
	}
	spec := fmt.Sprintf("{members: 3, persistence: {mode: None}, failover: {fencing: %s}, config: {ack-log: %s}}", fencing, ackPath)
	if err := w.apply(ctx, "one", spec); err != nil {
		return err
	}
	rs, err := w.set.Get(ctx)
	if err != nil {
		return err
	}
	records := newAckRecords()
	for _, m := range rs.Status.Members {
		pod, err := w.set.Pod(ctx, m.Name)
		if err != nil {
			return err
		}
		wr := w.write(ctx, net.JoinHostPort(pod.Status.PodIP, "6379"), m.Name+":")
		defer wr.end()
	}
	rng := rand.New(rand.NewPCG(o.seed, 0))
	faults := 0
	var failure error
	for end := time.Now().Add(time.Duration(o.minutes) * time.Minute); time.Now().Before(end) && failure == nil; faults++ {
		name, err := w.fault(ctx, rng)
		if err != nil {
			failure = fmt.Errorf("fault %d (%s): %w", faults, name, err)
		}
		if e := records.collect(ctx, w); e != nil && failure == nil {
			failure = e
		}
		fmt.Fprintf(w.out, "fault %d: %s; %d intervals\n", faults, name, records.count())
	}
	overlaps := records.overlaps()
	r.fact("faults", faults, "")
	r.fact("intervals of acknowledged writes", records.count(), "")
	r.fact("members that acknowledged writes", len(records.byVoter), "")
	r.fact("reigns (a member's first to last acknowledgement under one right to write)", len(records.reigns()), "")
	r.fact("overlaps between members", len(overlaps), map[bool]string{false: "0", true: "> 0: without fencing the test must find them"}[o.unfenced])
	for _, line := range overlaps[:min(len(overlaps), 20)] {
		r.line("%s", line)
	}
	switch {
	case failure != nil:
		return failure
	case len(records.byVoter) < 2:
		return errors.New("fewer than two members ever acknowledged a write: the campaign shows nothing")
	case o.unfenced && len(overlaps) == 0:
		return errors.New("fencing is off and no overlap was found: the campaign cannot see two writers")
	case !o.unfenced && len(overlaps) > 0:
		return fmt.Errorf("S1 is broken: %s", overlaps[0])
	}
	return nil
}

// fault breaks one thing, lets it act, mends it, and waits until the set is ready.
func (w *world) fault(ctx context.Context, rng *rand.Rand) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	master, err := w.master(ctx)
	if err != nil {
		return "none", err
	}
	act := time.Duration(3+rng.IntN(6)) * time.Second
	kinds := []struct {
		name string
		do   func() error
	}{
		{"master stopped", func() error { return w.set.Freeze(ctx, master) }},
		{"master cut from replicas and operators", func() error { return w.isolate(ctx, master, true, true) }},
		{"master cut from replicas", func() error { return w.isolate(ctx, master, true, false) }},
		{"master cut from operators", func() error { return w.isolate(ctx, master, false, true) }},
		{"process killed", func() error { return w.set.KillProcess(ctx, master) }},
		{"operators killed", func() error {
			_, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "delete", "pods", "-l", "app.kubernetes.io/instance="+testbed.Release, "--force", "--grace-period=0")
			return err
		}},
	}
	k := kinds[rng.IntN(len(kinds))]
	if err := k.do(); err != nil {
		return k.name, err
	}
	time.Sleep(act)
	if k.name == "master stopped" {
		if err := w.set.Thaw(ctx, master); err != nil {
			return k.name, err
		}
	}
	if err := w.bed.Heal(ctx); err != nil {
		return k.name, err
	}
	return fmt.Sprintf("%s for %s", k.name, act), w.ready(ctx, 2*time.Minute)
}

// isolate drops packets between a member and the others, and the operators; clients still reach it.
func (w *world) isolate(ctx context.Context, member string, replicas, operators bool) error {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return err
	}
	if replicas {
		for _, m := range rs.Status.Members {
			if m.Name != member {
				if err := w.set.Part(ctx, member, m.Name); err != nil {
					return err
				}
			}
		}
	}
	if !operators {
		return nil
	}
	pod, err := w.set.Pod(ctx, member)
	if err != nil {
		return err
	}
	ips, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "get", "pods", "-o", "jsonpath={range .items[*]}{.status.podIP}{\"\\n\"}{end}")
	if err != nil {
		return err
	}
	for _, ip := range splitLines(ips) {
		for _, way := range [][2]string{{ip, pod.Status.PodIP}, {pod.Status.PodIP, ip}} {
			if _, err := w.bed.Tool(ctx, "block", way[0], way[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func splitLines(s string) []string {
	var lines []string
	start := 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '\n' {
			if i > start {
				lines = append(lines, s[start:i])
			}
			start = i + 1
		}
	}
	return lines
}

// ackRecords holds the newest reading of each pod's record, by pod UID: a recreated pod is another member.
type ackRecords struct {
	byVoter map[string][]engine.AckInterval
	names   map[string]string
}

func newAckRecords() *ackRecords {
	return &ackRecords{byVoter: map[string][]engine.AckInterval{}, names: map[string]string{}}
}

// collect reads the record of every pod through the file system of one of its processes.
func (a *ackRecords) collect(ctx context.Context, w *world) error {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return err
	}
	for _, m := range rs.Status.Members {
		pod, err := w.set.Pod(ctx, m.Name)
		if err != nil {
			return err
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Running == nil {
				continue
			}
			pids, err := machine.ProcessesOf(bareID(c.ContainerID), false)
			if err != nil || len(pids) == 0 {
				return fmt.Errorf("%s: no process of its container: %w", m.Name, err)
			}
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", pids[0], ackPath))
			if err != nil {
				return err
			}
			acks, err := engine.ParseAcks(raw)
			if err != nil {
				return err
			}
			if len(acks) > 0 {
				a.byVoter[string(pod.UID)], a.names[string(pod.UID)] = acks, m.Name
			}
		}
	}
	return nil
}

func bareID(id string) string {
	for i := 0; i+3 <= len(id); i++ {
		if id[i:i+3] == "://" {
			return id[i+3:]
		}
	}
	return id
}

func (a *ackRecords) count() int {
	n := 0
	for _, acks := range a.byVoter {
		n += len(acks)
	}
	return n
}

// reign is an epoch of one pod from its first to its last acknowledgement.
type reign struct {
	pod         string
	first, last int64
}

// reigns are the epochs of all pods, by their first acknowledgement.
func (a *ackRecords) reigns() []reign {
	type key struct {
		pod   string
		epoch uint64
	}
	spans := map[key]*reign{}
	for pod, acks := range a.byVoter {
		for _, i := range acks {
			r := spans[key{pod, i.Epoch}]
			if r == nil {
				r = &reign{pod, i.First, i.Last}
				spans[key{pod, i.Epoch}] = r
			}
			r.first, r.last = min(r.first, i.First), max(r.last, i.Last)
		}
	}
	var all []reign
	for _, r := range spans {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(x, y reign) int { return cmp.Compare(x.first, y.first) })
	return all
}

// overlaps lists reigns of different pods that share an instant.
func (a *ackRecords) overlaps() []string {
	var found []string
	var reach reign // the one that ends last so far
	for _, r := range a.reigns() {
		if reach.pod != "" && r.pod != reach.pod && r.first <= reach.last {
			found = append(found, fmt.Sprintf("%s acknowledged until %d ns, %s from %d ns: %v together", a.names[reach.pod], reach.last, a.names[r.pod], r.first,
				time.Duration(min(reach.last, r.last)-r.first)))
		}
		if r.last > reach.last {
			reach = r
		}
	}
	return found
}

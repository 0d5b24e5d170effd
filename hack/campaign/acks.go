package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
	"github.com/understudy-db/understudy/server/engine"
)

// ackPath is the file in which a member notes when it acknowledged writes (directive ack-log).
const ackPath = "/data/acks"

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

// bareID is a container's ID without the name of its runtime.
func bareID(id string) string {
	if _, bare, ok := strings.Cut(id, "://"); ok {
		return bare
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

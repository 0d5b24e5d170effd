package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-db/understudy/hack/internal/testbed"
)

// The accident of the mission: master A without persistence, replicas B and C. A dies and would come back empty at once.
// Whatever WAIT 2 had confirmed must still be on every member, nobody may be wiped, and exactly one full sync is due: A's.

// moment is what goes on when the master is lost. begin may start a load.
type moment struct {
	name  string
	begin func(ctx context.Context, w *world) (load *writer, err error)
}

type way struct {
	name string
	lose func(s testbed.Set, ctx context.Context, member string) error
	node bool
}

var moments = []moment{
	{"idle", func(context.Context, *world) (*writer, error) { return nil, nil }},
	{"under load", underLoad},
	{"during a full sync", duringSync},
	{"during a switchover", duringSwitchover},
}

var ways = []way{
	{name: "process", lose: testbed.Set.KillProcess},
	{name: "container", lose: testbed.Set.KillContainer},
	{name: "pod", lose: testbed.Set.ForceDelete},
	{name: "node", lose: testbed.Set.KillNode, node: true},
}

func accident(ctx context.Context, w *world, o options, r *report) error {
	var failed []error
	var gaps spread
	n := 0
	for _, up := range []bool{true, false} {
		for _, wy := range ways {
			for _, m := range moments {
				name := fmt.Sprintf("%s, %s, operator %s", wy.name, m.name, map[bool]string{true: "up", false: "down for 60 s"}[up])
				if !strings.Contains(name, o.only) {
					continue
				}
				n++
				begin := time.Now()
				gap, err := accidentCase(ctx, w, fmt.Sprintf("acc%d", n), m, wy, up)
				verdict := "nothing lost, nobody wiped, one full sync"
				if gap > 0 {
					verdict += fmt.Sprintf("; %d ms without a write", gap.Milliseconds())
				}
				if up && gap > 0 && wy.name != "process" {
					gaps = append(gaps, gap)
				}
				if err != nil {
					verdict = "FAILED: " + strings.SplitN(err.Error(), "\n", 2)[0]
					fmt.Fprintf(w.out, "%s: %v\n", name, err)
					failed = append(failed, fmt.Errorf("%s: %w", name, err))
				}
				r.line("%-50s %4.0f s  %s", name, time.Since(begin).Seconds(), verdict)
				fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
			}
		}
	}
	r.fact("cases", n, "")
	if len(gaps) > 0 {
		r.fact("loss of container, pod or node to the first accepted write, operator up, worst", gaps.worst(), "< 5s; < 10s when the leading operator was on that node")
	}
	r.fact("cases that lost a confirmed key, wiped a replica or synced too often", len(failed), "0")
	return errors.Join(failed...)
}

// accidentCase plays one case. gap is the longest time between two accepted writes when the moment has a load.
func accidentCase(ctx context.Context, w *world, name string, m moment, wy way, operatorUp bool) (gap time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute)
	defer cancel()
	if err := w.apply(ctx, name, memoryOnly); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.remove(context.WithoutCancel(ctx))) }()
	if err := w.seed(ctx, "seed:"); err != nil {
		return 0, err
	}
	before, err := w.syncs(ctx)
	if err != nil {
		return 0, err
	}
	load, err := m.begin(ctx, w)
	if load != nil {
		defer load.end()
	}
	if err != nil {
		return 0, err
	}
	a, err := w.loseMaster(ctx, wy, operatorUp)
	if err != nil {
		return 0, err
	}
	if load != nil {
		if _, err := w.set.WaitMaster(ctx, a.name); err != nil { // until then the lost one may still answer
			return 0, err
		}
		if err := load.next(ctx); err != nil {
			return 0, fmt.Errorf("no write was accepted: %w; the writer's last failure: %w\n%s", err, load.lastError(), w.set.Describe())
		}
		load.end()
		gap = load.gap
	}
	if err := w.back(ctx, a.name, a.incarnation); err != nil {
		return gap, err
	}
	if err := w.everyMemberHolds(ctx, "seed:"); err != nil {
		return gap, err
	}
	return gap, w.onlyEmptyOnesSynced(ctx, before)
}

// lostMember is the master that was lost.
type lostMember struct{ name, incarnation, node string }

// loseMaster loses the master, with the operator or while it is down, and sees to it that another reigns and that the
// lost one may come back.
func (w *world) loseMaster(ctx context.Context, wy way, operatorUp bool) (a lostMember, err error) {
	if a.name, err = w.master(ctx); err != nil {
		return a, err
	}
	if !operatorUp {
		if err := w.scaleOperator(ctx, 0); err != nil {
			return a, err
		}
		defer func() { err = errors.Join(err, w.scaleOperator(context.WithoutCancel(ctx), 2)) }()
	}
	pod, err := w.set.Pod(ctx, a.name)
	if err != nil {
		return a, err
	}
	a.node = pod.Spec.NodeName
	if a.incarnation, err = w.incarnation(ctx, a.name); err != nil {
		return a, err
	}
	if err := wy.lose(w.set, ctx, a.name); err != nil {
		return a, err
	}
	if !operatorUp {
		time.Sleep(time.Minute)
		if err := w.scaleOperator(ctx, 2); err != nil {
			return a, err
		}
	}
	if !wy.node {
		return a, nil
	}
	if _, err := w.set.WaitMaster(ctx, a.name); err != nil {
		return a, err
	}
	_, err = w.bed.Tool(ctx, "restart-node", a.node)
	return a, err
}

// loaded is a member's process and how many full syncs it has loaded.
type loaded struct {
	incarnation string
	count       int
}

// syncs reads every member's count of full syncs.
func (w *world) syncs(ctx context.Context) (map[string]loaded, error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]loaded{}
	for _, m := range rs.Status.Members {
		n, err := w.info(ctx, m.Name, "understudy", "full_syncs_loaded")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		all[m.Name] = loaded{m.Incarnation, n}
	}
	return all, nil
}

// onlyEmptyOnesSynced fails unless every process that began since, hence empty, loaded exactly one full sync, and every
// other none (S8).
func (w *world) onlyEmptyOnesSynced(ctx context.Context, before map[string]loaded) error {
	after, err := w.syncs(ctx)
	if err != nil {
		return err
	}
	for name, now := range after {
		want := before[name].count
		if now.incarnation != before[name].incarnation {
			want = 1
		}
		if now.count != want {
			return fmt.Errorf("%s has loaded %d full syncs, want %d", name, now.count, want)
		}
	}
	return nil
}

func (w *world) scaleOperator(ctx context.Context, replicas int) error {
	args := []string{"-n", testbed.OperatorNamespace, "scale", "deployment", "-l", "app.kubernetes.io/instance=" + testbed.Release, fmt.Sprintf("--replicas=%d", replicas)}
	if _, err := w.bed.Kubectl(ctx, args...); err != nil {
		return err
	}
	if replicas == 0 {
		_, err := w.bed.Kubectl(ctx, "-n", testbed.OperatorNamespace, "wait", "pods", "-l", "app.kubernetes.io/instance="+testbed.Release, "--for=delete", "--timeout=60s")
		return err
	}
	return nil
}

func underLoad(ctx context.Context, w *world) (*writer, error) {
	load := w.write(ctx, w.service, "load:")
	return load, load.next(ctx)
}

// duringSync kills a replica's process first: it comes back empty and fully syncs while the master is lost.
func duringSync(ctx context.Context, w *world) (*writer, error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return nil, err
	}
	replica, err := another(rs)
	if err != nil {
		return nil, err
	}
	return nil, w.set.KillProcess(ctx, replica)
}

func duringSwitchover(ctx context.Context, w *world) (*writer, error) {
	load, err := underLoad(ctx, w)
	if err != nil {
		return load, err
	}
	rs, err := w.set.Get(ctx)
	if err != nil {
		return load, err
	}
	target, err := another(rs)
	if err != nil {
		return load, err
	}
	return load, w.set.RequestMaster(ctx, target)
}

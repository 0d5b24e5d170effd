package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

const memoryOnly = "{members: 3, persistence: {mode: None}}"

// crash kills the server process of the master under load, again and again.
func crash(ctx context.Context, w *world, o options, r *report) error {
	if err := w.apply(ctx, "crash", memoryOnly); err != nil {
		return err
	}
	if err := w.seed(ctx, "seed:"); err != nil {
		return err
	}
	var down spread
	tail, errorsSeen, syncs := 0, 0, 0
	var failure error
	for round := range o.rounds {
		time.Sleep(o.settle)
		out, err := crashRound(ctx, w, round)
		if err != nil {
			failure = fmt.Errorf("round %d: %w", round, err)
			break
		}
		down = append(down, out.down)
		tail += out.tail
		errorsSeen += out.errors
		syncs += out.syncs
		r.line("round %3d: %4d ms down, %d client errors, %d unreplicated writes gone, %d full sync", round, out.down.Milliseconds(), out.errors, out.tail, out.syncs)
		fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
	}
	r.fact("rounds", len(down), "")
	r.fact("quiet time before each round", o.settle, "")
	r.fact("kill to first accepted write, median", down.median(), "< 500ms")
	r.fact("kill to first accepted write, p99", down.at(0.99), "")
	r.fact("kill to first accepted write, worst", down.worst(), "< 1.5s")
	r.fact("confirmed keys lost (WAIT 2)", 0, "0")
	r.fact("acknowledged but unreplicated writes gone (asynchronous replication)", tail, "counted")
	r.fact("full syncs per round", fmt.Sprintf("%.2f", float64(syncs)/float64(max(1, len(down)))), "1.00: the member that came back empty")
	r.fact("client errors per round", fmt.Sprintf("%.1f", float64(errorsSeen)/float64(max(1, len(down)))), "")
	if failure == nil && syncs != len(down) {
		failure = fmt.Errorf("%d full syncs in %d rounds: each lost member needs exactly one (S8)", syncs, len(down))
	}
	return failure
}

type outcome struct {
	down   time.Duration
	tail   int
	errors int
	syncs  int
}

func crashRound(ctx context.Context, w *world, round int) (outcome, error) {
	var out outcome
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	old, err := w.master(ctx)
	if err != nil {
		return out, err
	}
	before, err := w.allFullSyncs(ctx)
	if err != nil {
		return out, err
	}
	load := w.write(ctx, w.service, fmt.Sprintf("r%d:", round))
	defer load.end()
	if err := load.next(ctx); err != nil {
		return out, err
	}
	time.Sleep(50 * time.Millisecond)
	if err := w.set.KillProcess(ctx, old); err != nil {
		return out, err
	}
	if _, err := w.set.WaitMaster(ctx, old); err != nil {
		return out, err
	}
	if err := load.next(ctx); err != nil {
		return out, fmt.Errorf("no write was accepted: %w", err)
	}
	load.end()
	out.down, out.errors = load.gap, load.errors // the longest pause between two acknowledgements holds the kill
	if err := w.ready(ctx, time.Minute); err != nil {
		return out, err
	}
	if out.tail, err = load.missing(ctx); err != nil {
		return out, err
	}
	after, err := w.allFullSyncs(ctx)
	if err != nil {
		return out, err
	}
	for name, n := range after {
		if name != old {
			out.syncs += n - before[name]
		}
	}
	return out, w.everyMemberHolds(ctx, "seed:")
}

func (w *world) allFullSyncs(ctx context.Context) (map[string]int, error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, m := range rs.Status.Members {
		n, err := w.fullSyncs(ctx, m.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		all[m.Name] = n
	}
	return all, nil
}

// switchover moves the master to the next member under load, again and again.
func switchover(ctx context.Context, w *world, o options, r *report) error {
	if err := w.apply(ctx, "switch", memoryOnly); err != nil {
		return err
	}
	if err := w.seed(ctx, "seed:"); err != nil {
		return err
	}
	var pauses spread
	lost, errorsSeen, syncs := 0, 0, 0
	var failure error
	for round := range o.rounds {
		time.Sleep(o.settle)
		out, err := switchRound(ctx, w, round)
		if err != nil {
			failure = fmt.Errorf("round %d: %w", round, err)
			break
		}
		pauses = append(pauses, out.down)
		lost += out.tail
		errorsSeen += out.errors
		syncs += out.syncs
		r.line("round %3d: write pause %4d ms, %d client errors, %d lost, %d full syncs", round, out.down.Milliseconds(), out.errors, out.tail, out.syncs)
		fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
	}
	r.fact("rounds", len(pauses), "")
	r.fact("quiet time before each round", o.settle, "")
	r.fact("write pause, median", pauses.median(), "")
	r.fact("write pause, p99", pauses.at(0.99), "< 100ms")
	r.fact("write pause, worst", pauses.worst(), "")
	r.fact("acknowledged writes lost", lost, "0")
	r.fact("full syncs", syncs, "0")
	r.fact("client errors", errorsSeen, "0")
	if failure == nil && (lost > 0 || syncs > 0) {
		failure = fmt.Errorf("%d writes lost, %d full syncs in planned switchovers", lost, syncs)
	}
	return failure
}

func switchRound(ctx context.Context, w *world, round int) (outcome, error) {
	var out outcome
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	rs, err := w.set.Get(ctx)
	if err != nil {
		return out, err
	}
	target, err := another(rs)
	if err != nil {
		return out, err
	}
	before, err := w.allFullSyncs(ctx)
	if err != nil {
		return out, err
	}
	load := w.write(ctx, w.service, fmt.Sprintf("r%d:", round))
	defer load.end()
	if err := load.next(ctx); err != nil {
		return out, err
	}
	if err := w.set.RequestMaster(ctx, target); err != nil {
		return out, err
	}
	if _, err := w.set.Wait(ctx, "to have master "+target, func(rs *v1alpha1.ReplicaSet) bool { return rs.Status.Master == target }); err != nil {
		return out, err
	}
	if err := load.next(ctx); err != nil {
		return out, err
	}
	load.end()
	out.down, out.errors = load.gap, load.errors
	if err := w.ready(ctx, time.Minute); err != nil {
		return out, err
	}
	if out.tail, err = load.missing(ctx); err != nil {
		return out, err
	}
	after, err := w.allFullSyncs(ctx)
	if err != nil {
		return out, err
	}
	for name, n := range after {
		out.syncs += n - before[name]
	}
	return out, nil
}

func another(rs *v1alpha1.ReplicaSet) (string, error) {
	for i, m := range rs.Status.Members {
		if m.Name == rs.Status.Master {
			return rs.Status.Members[(i+1)%len(rs.Status.Members)].Name, nil
		}
	}
	return "", errors.New("status names no master among its members")
}

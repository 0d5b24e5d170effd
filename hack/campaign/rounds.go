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
	all, failure := rounds(ctx, w, o, crashRound, func(round int, out outcome) {
		r.line("round %3d: %4d ms down, %d client errors, %d unreplicated writes gone, %d full sync", round, out.down.Milliseconds(), out.errors, out.tail, out.syncs)
		fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
	})
	down := all.down
	r.fact("rounds", len(down), "")
	r.fact("quiet time before each round", o.settle, "")
	r.fact("kill to first accepted write, median", down.median(), "< 500ms")
	r.fact("kill to first accepted write, p99", down.at(0.99), "")
	r.fact("kill to first accepted write, worst", down.worst(), "< 1.5s")
	r.fact("confirmed keys lost (WAIT 2)", 0, "0")
	r.fact("acknowledged but unreplicated writes gone (asynchronous replication)", all.tail, "counted")
	r.fact("full syncs per round", fmt.Sprintf("%.2f", float64(all.syncs)/float64(max(1, len(down)))), "1.00: the member that came back empty")
	r.fact("client errors per round", fmt.Sprintf("%.1f", float64(all.errors)/float64(max(1, len(down)))), "")
	if failure == nil && all.syncs != len(down) {
		failure = fmt.Errorf("%d full syncs in %d rounds: each lost member needs exactly one (S8)", all.syncs, len(down))
	}
	return failure
}

type outcome struct {
	down   time.Duration
	anew   time.Duration // the same for a client that dials for every write
	why    error         // of the latest client error
	tail   int
	errors int
	syncs  int
}

// totals is the sum of all rounds.
type totals struct {
	down   spread
	anew   spread
	tail   int
	errors int
	syncs  int
}

// rounds runs one round after the other until one fails. told hears of each that did not.
func rounds(ctx context.Context, w *world, o options, one func(context.Context, *world, int) (outcome, error), told func(round int, out outcome)) (totals, error) {
	var all totals
	for round := range o.rounds {
		time.Sleep(o.settle)
		out, err := one(ctx, w, round)
		if err != nil {
			return all, fmt.Errorf("round %d: %w", round, err)
		}
		all.down = append(all.down, out.down)
		all.anew = append(all.anew, out.anew)
		all.tail += out.tail
		all.errors += out.errors
		all.syncs += out.syncs
		told(round, out)
	}
	return all, nil
}

func crashRound(ctx context.Context, w *world, round int) (outcome, error) {
	var out outcome
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	old, err := w.master(ctx)
	if err != nil {
		return out, err
	}
	was, err := w.incarnation(ctx, old)
	if err != nil {
		return out, err
	}
	before, err := w.servedSyncs(ctx)
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
	if err := w.back(ctx, old, was); err != nil {
		return out, err
	}
	if out.tail, err = load.missing(ctx); err != nil {
		return out, err
	}
	after, err := w.servedSyncs(ctx)
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

// switchover moves the master to the next member under load, again and again.
func switchover(ctx context.Context, w *world, o options, r *report) error {
	if err := w.apply(ctx, "switch", memoryOnly); err != nil {
		return err
	}
	if err := w.seed(ctx, "seed:"); err != nil {
		return err
	}
	all, failure := rounds(ctx, w, o, switchRound, func(round int, out outcome) {
		r.line("round %3d: write pause %4d ms, dialling for every write %4d ms, %d client errors, %d lost, %d full syncs",
			round, out.down.Milliseconds(), out.anew.Milliseconds(), out.errors, out.tail, out.syncs)
		fmt.Fprintln(w.out, r.lines[len(r.lines)-1])
		if out.why != nil {
			fmt.Fprintf(w.out, "           the latest client error: %v\n", out.why)
		}
	})
	pauses := all.down
	r.fact("rounds", len(pauses), "")
	r.fact("quiet time before each round", o.settle, "")
	r.fact("write pause, median", pauses.median(), "")
	r.fact("write pause, p99", pauses.at(0.99), "< 100ms")
	r.fact("write pause, worst", pauses.worst(), "")
	r.fact("write pause of a client that dials for every write, median", all.anew.median(), "")
	r.fact("write pause of a client that dials for every write, p99", all.anew.at(0.99), "")
	r.fact("acknowledged writes lost", all.tail, "0")
	r.fact("full syncs", all.syncs, "0")
	r.fact("client errors", all.errors, "0")
	if failure == nil && (all.tail > 0 || all.syncs > 0 || all.errors > 0) {
		failure = fmt.Errorf("%d writes lost, %d full syncs, %d client errors in planned switchovers", all.tail, all.syncs, all.errors)
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
	before, err := w.servedSyncs(ctx)
	if err != nil {
		return out, err
	}
	load := w.write(ctx, w.service, fmt.Sprintf("r%d:", round))
	defer load.end()
	anew := w.writeAnew(ctx, w.service, fmt.Sprintf("n%d:", round))
	defer anew.end()
	if err := errors.Join(load.next(ctx), anew.next(ctx)); err != nil {
		return out, err
	}
	if err := w.set.RequestMaster(ctx, target); err != nil {
		return out, err
	}
	if _, err := w.set.Wait(ctx, "to have master "+target, func(rs *v1alpha1.ReplicaSet) bool { return rs.Status.Master == target }); err != nil {
		return out, err
	}
	if err := errors.Join(load.next(ctx), anew.next(ctx)); err != nil {
		return out, err
	}
	load.end()
	anew.end()
	out.down, out.anew, out.errors, out.why = load.gap, anew.gap, load.errors+anew.errors, errors.Join(load.why, anew.why)
	if err := w.ready(ctx, time.Minute); err != nil {
		return out, err
	}
	for _, wr := range []*writer{load, anew} {
		missing, err := wr.missing(ctx)
		if err != nil {
			return out, err
		}
		out.tail += missing
	}
	after, err := w.servedSyncs(ctx)
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

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

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
	writers := directWriters{w: w, of: map[string]*writer{}}
	defer writers.end()
	records := newAckRecords()
	rng := rand.New(rand.NewPCG(o.seed, 0))
	done := map[string]int{}
	var failure error
	for end := time.Now().Add(time.Duration(o.minutes) * time.Minute); time.Now().Before(end) && failure == nil; {
		if failure = errors.Join(writers.follow(ctx), records.collect(ctx, w)); failure != nil {
			break
		}
		f := faults[rng.IntN(len(faults))]
		if !strings.Contains(f.name, o.only) {
			continue
		}
		act := time.Duration(3+rng.IntN(6)) * time.Second
		if err := w.fault(ctx, f, act); err != nil {
			failure = fmt.Errorf("%s for %s: %w", f.name, act, err)
		}
		failure = errors.Join(failure, records.collect(ctx, w))
		done[f.name]++
		fmt.Fprintf(w.out, "%s for %s; %d intervals\n", f.name, act, records.count())
	}
	for _, name := range slices.Sorted(maps.Keys(done)) {
		r.fact("fault: "+name, done[name], "")
	}
	return errors.Join(failure, judge(records, o.unfenced, r))
}

func judge(records *ackRecords, unfenced bool, r *report) error {
	overlaps := records.overlaps()
	r.fact("intervals of acknowledged writes", records.count(), "")
	r.fact("pods that acknowledged writes", len(records.byVoter), "")
	r.fact("reigns (a member's first to last acknowledgement under one right to write)", len(records.reigns()), "")
	r.fact("overlaps between members", len(overlaps), map[bool]string{false: "0", true: "> 0: without fencing the test must find them"}[unfenced])
	for _, line := range overlaps[:min(len(overlaps), 20)] {
		r.line("%s", line)
	}
	switch {
	case len(records.byVoter) < 2:
		return errors.New("fewer than two members ever acknowledged a write: the campaign shows nothing")
	case unfenced && len(overlaps) == 0:
		return errors.New("fencing is off and no overlap was found: the campaign cannot see two writers")
	case !unfenced && len(overlaps) > 0:
		return fmt.Errorf("S1 is broken: %s", overlaps[0])
	}
	return nil
}

// directWriters holds one writer per address of a member: each believes that its member is the master.
type directWriters struct {
	w  *world
	of map[string]*writer
}

// follow starts a writer for every pod that has none, and ends those of pods that are gone.
func (d *directWriters) follow(ctx context.Context) error {
	rs, err := d.w.set.Get(ctx)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, m := range rs.Status.Members {
		pod, err := d.w.set.Pod(ctx, m.Name)
		if err != nil {
			return err
		}
		addr := net.JoinHostPort(pod.Status.PodIP, "6379")
		present[addr] = true
		if d.of[addr] == nil {
			d.of[addr] = d.w.write(ctx, addr, m.Name+":")
		}
	}
	for addr, wr := range d.of {
		if !present[addr] {
			wr.end()
			delete(d.of, addr)
		}
	}
	return nil
}

func (d *directWriters) end() {
	for _, wr := range d.of {
		wr.end()
	}
}

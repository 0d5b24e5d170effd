package main

import (
	"fmt"
	"time"
)

// benchAppend measures SET with an append-only file, synced every second and before each reply. Both servers write to the same
// file system, in turn, without automatic rewrites; CPU is that of the whole process, the syncing thread included. Under always
// the rate is the disk's: what counts is how many requests one sync carries.
func benchAppend(o options, t *table) error {
	for range o.rounds {
		for _, policy := range []string{"everysec", "always"} {
			for _, ours := range []bool{true, false} {
				if err := o.appendRound(ours, policy, t); err != nil {
					return fmt.Errorf("appendfsync %s: %w", policy, err)
				}
			}
		}
	}
	return nil
}

func (o options) appendRound(ours bool, policy string, t *table) error {
	s, err := o.start(ours, "--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0")
	if err != nil {
		return err
	}
	defer s.stop()
	if _, err := redisBenchmark(s, "set", o.requests/20, 16); err != nil {
		return err
	}
	for _, p := range []int{1, 16} {
		n := o.requests
		if policy == "always" {
			n /= 8 // one sync for at most fifty requests of P=1
		}
		if p > 1 {
			n *= 4
		}
		before, err := s.cpu()
		if err != nil {
			return err
		}
		rates, err := redisBenchmark(s, "set", n, p)
		if err != nil {
			return err
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("SET 64 B, appendfsync %s, P=%d", policy, p)
		perRequest := float64(after-before) / float64(time.Microsecond) / float64(n)
		t.row(row{name: "CPU per request, " + name, unit: "us", budget: 1}).add(ours, perRequest)
		t.row(row{name: "requests per second, " + name, unit: "1/s", more: true, budget: 1}).add(ours, rates[0].rps)
	}
	return nil
}

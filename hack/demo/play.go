package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

const (
	namespace = "understudy-demo"
	setName   = "orders"
	tag       = "dev"

	keys        = 1000
	stepTimeout = 2 * time.Minute
)

// show tells what happens while it happens, and keeps the lines that go into the account.
type show struct {
	out   io.Writer
	start time.Time
	lines []string
}

func newShow(out io.Writer) *show { return &show{out: out, start: time.Now()} }

func (s *show) step(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1f s  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

// fact is a step that the account repeats.
func (s *show) fact(format string, args ...any) {
	s.step(format, args...)
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// play is the demonstration itself, on a cluster with the operator.
func (s *show) play(ctx context.Context, set testbed.Set) error {
	for _, act := range []func(context.Context, testbed.Set) error{s.apply, s.failover, s.rotate, s.switchover} {
		if err := within(ctx, func(ctx context.Context) error { return act(ctx, set) }); err != nil {
			return err
		}
	}
	return nil
}

func within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return f(ctx)
}

func (s *show) apply(ctx context.Context, set testbed.Set) error {
	manifest, err := sample()
	if err != nil {
		return err
	}
	// a set left by an earlier demo has a history of its own; this one begins at the beginning
	if _, err := set.Bed.Kubectl(ctx, "delete", "namespace", set.Namespace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	begin := time.Now()
	if err := set.Bed.Apply(ctx, manifest); err != nil {
		return err
	}
	rs, err := set.WaitReady(ctx)
	if err != nil {
		return err
	}
	s.fact("three members without persistence ready %s after kubectl apply; %s is master", round(time.Since(begin)), rs.Status.Master)
	return nil
}

// failover writes keys, makes sure that both replicas have them, kills the master's server and counts.
func (s *show) failover(ctx context.Context, set testbed.Set) error {
	c, err := set.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range keys {
		if _, err := c.Do("SET", key(n), value(n)); err != nil {
			return fmt.Errorf("key %d: %w", n, err)
		}
	}
	holders, err := c.Int("WAIT", "2", "5000")
	if err != nil {
		return err
	}
	if holders != 2 {
		return fmt.Errorf("after 5 s %d of 2 replicas have the keys\n%s", holders, set.Describe())
	}
	s.fact("%d keys written through the read-write Service; both replicas have them", keys)

	before, err := set.Get(ctx)
	if err != nil {
		return err
	}
	old := before.Status.Master
	load := set.StartLoad(ctx, "during", 2*time.Millisecond)
	if _, err := load.NextWrite(ctx); err != nil {
		load.Stop()
		return err
	}
	killed := time.Now()
	how, err := s.kill(ctx, set, old)
	if err != nil {
		load.Stop()
		return err
	}
	rs, err := set.WaitMaster(ctx, old)
	if err != nil {
		load.Stop()
		return err
	}
	_, err = load.NextWrite(ctx)
	seen := load.Stop()
	if err != nil {
		if seen.First != nil {
			err = fmt.Errorf("%w (first failure: %w)", err, seen.First)
		}
		return fmt.Errorf("%w\n%s", err, set.Describe())
	}
	s.fact("%s of %s; %s is master in term %d; the longest pause of a writing client was %s", how, old, rs.Status.Master, term(rs), round(seen.Gap))
	if err := s.count(ctx, set); err != nil {
		return err
	}
	if _, err := set.WaitReady(ctx); err != nil {
		return err
	}
	s.fact("%s is back as a replica %s after the kill: three of three in sync", old, round(time.Since(killed)))
	return nil
}

// kill ends the master's server as a crash does; on a foreign cluster, where processes are out of reach, its pod.
func (s *show) kill(ctx context.Context, set testbed.Set, master string) (string, error) {
	if !set.Bed.Ours() {
		return "deleted the pod by force", set.ForceDelete(ctx, master)
	}
	return "killed the server process (SIGKILL)", set.KillProcess(ctx, master)
}

// count reads every key back through the read-write Service.
func (s *show) count(ctx context.Context, set testbed.Set) error {
	c, err := set.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	lost := 0
	for n := range keys {
		v, found, err := c.String("GET", key(n))
		if err != nil {
			return err
		}
		if !found || v != value(n) {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d keys are lost\n%s", lost, keys, set.Describe())
	}
	s.fact("all %d keys are there: 0 lost", keys)
	return nil
}

// rotate changes the password while a client writes on an open connection.
func (s *show) rotate(ctx context.Context, set testbed.Set) error {
	open, err := set.Connect(ctx)
	if err != nil {
		return err
	}
	defer open.Close()
	old, err := set.Password(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := set.Rotate(ctx, rand.Text()); err != nil {
		return err
	}
	for {
		c, err := set.Connect(ctx) // with the new password
		if err == nil {
			_, err = c.Do("PING")
			c.Close()
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the new password is not accepted: %w\n%s", err, set.Describe())
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := open.Do("SET", "rotated", "yes"); err != nil {
		return fmt.Errorf("a connection from before the rotation broke: %w", err)
	}
	if err := s.refused(ctx, set, old); err != nil {
		return err
	}
	s.fact("password rotated in %s; the old one is refused, open connections went on", round(time.Since(begin)))
	_, err = set.WaitReady(ctx)
	return err
}

// refused waits until the old password no longer opens a connection.
func (s *show) refused(ctx context.Context, set testbed.Set, password string) error {
	for {
		err := set.TryPassword(ctx, password)
		if err != nil && strings.Contains(err.Error(), "WRONGPASS") {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the old password still works: %w\n%s", ctx.Err(), set.Describe())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// switchover asks for another master by the resource while a client writes.
func (s *show) switchover(ctx context.Context, set testbed.Set) error {
	rs, err := set.Get(ctx)
	if err != nil {
		return err
	}
	old, target := rs.Status.Master, ""
	for _, m := range rs.Status.Members {
		if m.Name != old {
			target = m.Name
			break
		}
	}
	load := set.StartLoad(ctx, "switch", time.Millisecond)
	if _, err := load.NextWrite(ctx); err != nil {
		load.Stop()
		return err
	}
	if err := set.RequestMaster(ctx, target); err != nil {
		load.Stop()
		return err
	}
	if _, err := set.Wait(ctx, "to have master "+target, func(rs *v1alpha1.ReplicaSet) bool { return rs.Status.Master == target }); err != nil {
		load.Stop()
		return err
	}
	_, err = load.NextWrite(ctx)
	seen := load.Stop()
	if err != nil {
		return err
	}
	c, err := set.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	missing, err := seen.Missing(c)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d acknowledged writes were lost in the switchover, such as %s", len(missing), len(seen.Acked), missing[0])
	}
	s.fact("switched over by hand from %s to %s: %d writes acknowledged meanwhile, 0 lost, longest pause %s", old, target, len(seen.Acked), round(seen.Gap))
	_, err = set.WaitReady(ctx)
	return err
}

func (s *show) account(bed *testbed.Bed) {
	fmt.Fprintf(s.out, "\nWhat you saw, in %s:\n", round(time.Since(s.start)))
	for _, l := range s.lines {
		fmt.Fprintf(s.out, "  - %s\n", l)
	}
	kubectl := "kubectl"
	if bed.Ours() {
		kubectl = "KUBECONFIG=" + bed.Kubeconfig + " kubectl"
		if bed.NoKubectl() {
			kubectl = "bin/cluster kubectl"
		}
	}
	fmt.Fprintf(s.out, `
The cluster is still up. Three commands to try next:
  %[1]s -n %[2]s get urs,pods -o wide
  %[1]s -n %[2]s delete pod -l understudy.dev/role=master --force     # then look again
  %[1]s -n %[2]s patch urs %[3]s --type merge -p '{"spec":{"members":5}}'
End it with: make demo-down
`, kubectl, namespace, setName)
}

func key(n int) string   { return fmt.Sprintf("order:%d", n) }
func value(n int) string { return fmt.Sprintf("paid-%d", n*7) }

func term(rs *v1alpha1.ReplicaSet) int64 {
	if rs.Status.Term == nil {
		return 0
	}
	return rs.Status.Term.Number
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/machine"
)

// Status prints every process of the cluster with its log, every node's health, and how to reach the cluster.
func (d *Driver) Status(ctx context.Context) error {
	p, r, err := d.load()
	if err != nil {
		return err
	}
	states, err := d.supervisor().List()
	if err != nil {
		return fmt.Errorf("%w: the cluster has crashed; `make cluster-down` removes what is left", err)
	}
	fmt.Fprintf(d.Out, "%s, up since %s\n\n", p, r.Started.Format(time.TimeOnly))
	w := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROCESS\tSTATE\tLOG")
	for _, s := range states {
		state := fmt.Sprintf("runs (%d)", s.PID)
		if s.Exit != "" {
			state = fmt.Sprintf("ended %s ago: %s", time.Since(s.Ended).Truncate(time.Second), s.Exit)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, state, s.Log)
	}
	api, err := newAPI(p)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "\nNODE\tSTATE\tNETWORK\tADDRESS\tPODS\tLOGS")
	for _, n := range p.Nodes {
		state, link := "ready", "up"
		if err := api.nodesReady(ctx, p.Nodes[n.Index-1:n.Index], time.Time{}); err != nil {
			state = "not ready"
		}
		if !d.alive(n) {
			state, link = "dead", "-"
		} else if !machine.LinkUp(p, n) {
			link = "cut"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, state, link, n.IP, n.PodNet, n.Dir)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	d.usage(p)
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// tail returns the last lines of a log.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// poll asks until the answer is nil or the context ends; then it returns the last answer.
func poll(ctx context.Context, every time.Duration, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(every):
		}
	}
}

func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

func mountsBelow(mounts, dir string) []string {
	var found []string
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) > 1 && below(fields[1], dir) {
			found = append(found, "mount "+fields[1])
		}
	}
	return found
}

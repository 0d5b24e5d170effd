package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// status prints a set on one screen.
func status(ctx context.Context, c client.Client, key types.NamespacedName, out io.Writer, now time.Time) error {
	rs, err := get(ctx, c, key)
	if err != nil {
		return err
	}
	st := rs.Status
	fmt.Fprintf(out, "%s: %s\n", key, orNone(st.Phase))
	fmt.Fprintf(out, "master %s, term %d, in sync %s, image %s\n", orNone(st.Master), term(rs), orNone(st.InSync), orNone(st.Image))
	switch {
	case st.Term != nil && st.Term.Appointed != nil && st.Term.Appointed.Term == st.Term.Number:
		fmt.Fprintf(out, "switchover: %s hands over to %s in term %d\n", st.Term.Unfenced.Member, st.Term.Appointed.Member, st.Term.Number)
	case st.Term != nil && st.Term.Unfenced != nil:
		fmt.Fprintf(out, "no master: %s of term %d may still write and is being fenced\n", st.Term.Unfenced.Member, st.Term.Unfenced.Term)
	}
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "\nMEMBER\tROLE\tSYNC\tFOLLOWS\tON DISK\tREASON")
	for _, m := range st.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, dash(m.Role), m.Sync, dash(m.Upstream), yesNo(m.Persisted), dash(m.Reason))
	}
	fmt.Fprintln(w, "\nCONDITION\tSTATUS\tSINCE\tREASON\tMESSAGE")
	for _, c := range st.Conditions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, ago(now, &c.LastTransitionTime), c.Reason, dash(c.Message))
	}
	if len(st.History) > 0 {
		fmt.Fprintln(w, "\nTERM\tFROM\tTO\tWHEN\tLOST BYTES\tWHY")
	}
	for _, h := range st.History {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", h.Term, dash(h.From), h.To, ago(now, h.At), h.Lost, dash(h.Reason))
	}
	return w.Flush()
}

func ago(now time.Time, t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

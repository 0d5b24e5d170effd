package setup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is a leader election lock whose writes take time and may fail.
type lock struct {
	resourcelock.Interface
	write func() error
}

func (l *lock) Identity() string { return "me" }

func (l *lock) Update(context.Context, resourcelock.LeaderElectionRecord) error { return l.write() }

func (l *lock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return l.write() }

// TestLeadershipNeverOutlivesItsLease is the ground of rules 7 and 8: Until counts from before the write
// was asked for, a failed write gives nothing, a release ends it before the others hear of it, and a gap
// begins a new Since.
func TestLeadershipNeverOutlivesItsLease(t *testing.T) {
	now := 100 * time.Second
	var failure error
	var duringRelease time.Duration
	var l *Leadership
	l = NewLeadership(&lock{write: func() error {
		now += time.Second // a slow API server
		duringRelease = l.Until()
		return failure
	}}, func() time.Duration { return now })
	ctx := context.Background()
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}
	if l.Until() != 0 {
		t.Fatal("leads before it was elected")
	}
	if err := l.Create(ctx, mine); err != nil {
		t.Fatal(err)
	}
	if want := 100*time.Second + LeaseDuration - drift; l.Until() != want || l.Since() != 101*time.Second {
		t.Errorf("until %v, want %v; since %v", l.Until(), want, l.Since())
	}
	before := l.Until()
	failure = errors.New("no answer")
	if err := l.Update(ctx, mine); err == nil || l.Until() != before {
		t.Errorf("a failed renewal moved until to %v (%v)", l.Until(), err)
	}
	failure = nil
	if err := l.Update(ctx, mine); err != nil || l.Until() <= before || l.Since() != 101*time.Second {
		t.Errorf("a renewal in time: until %v since %v (%v)", l.Until(), l.Since(), err)
	}
	now = l.Until() + time.Second
	if err := l.Update(ctx, mine); err != nil || l.Since() != now {
		t.Errorf("a renewal after a gap must begin anew: since %v, now %v (%v)", l.Since(), now, err)
	}
	if err := l.Update(ctx, resourcelock.LeaderElectionRecord{HolderIdentity: ""}); err != nil {
		t.Fatal(err)
	}
	if duringRelease != 0 || l.Until() != 0 {
		t.Errorf("still leading while and after releasing: %v %v", duringRelease, l.Until())
	}
}

func TestFlags(t *testing.T) {
	o, err := Parse(strings.Fields("--server-image i --leader-elect --namespace n --watch-namespaces a,b --service-routing label"))
	if err != nil || len(o.WatchNamespaces) != 2 || o.Routing != "label" {
		t.Errorf("%+v %v", o, err)
	}
	for _, bad := range []string{"", "--server-image i --service-routing dns", "--server-image i --leader-elect", "--server-image i --log-level loud", "--server-image i --workers 0"} {
		t.Setenv("POD_NAMESPACE", "")
		if _, err := Parse(strings.Fields(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

package manage

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/repl/fence"
	"github.com/understudy-db/understudy/server/store"
)

// synchronousWorld is a member whose engine tells what replies wait for.
func synchronousWorld(t *testing.T, mut fence.Mutation) (*world, *engine.Engine) {
	e := engine.New(engine.Options{Store: store.New(store.Options{Databases: 1}), Log: oplog.New(oplog.Options{}), Table: command.NewTable()})
	w := newWorld(t, nil, func(o *Options) { o.Gate, o.Commit, o.Mutation = e.Gate(), e.Commit(), mut })
	return w, e
}

func rosters(version uint64, k int, old *member.Roster) member.Rosters {
	return member.Rosters{New: member.Roster{Version: version, Voters: []member.Voter{podUID, otherID, "pod-c"}, K: k}, Old: old}
}

// TestRepliesWaitForVoters: k comes with the term and its changes, and voters' words let replies go (S6, rule 3).
func TestRepliesWaitForVoters(t *testing.T) {
	w, e := synchronousWorld(t, fence.Mutation{})
	w.node.offset.Store(100)
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	p := promotion(1, time.Second)
	p.Rosters = rosters(1, 0, nil)
	c.ask(p)
	if k := e.Commit().Required(); k != 0 {
		t.Fatalf("%d voters are waited for with k = 0", k)
	}
	old := p.Rosters.New
	if done, ok := c.ask(member.TakeRoster{Order: order1(1), Rosters: rosters(2, 2, &old)}).(member.Done); !ok {
		t.Fatalf("roster: %+v", done)
	}
	if k := e.Commit().Required(); k != 2 {
		t.Fatalf("the roster with k = 2 is confirmed, and %d are waited for", k)
	}
	vouch := func(voter string, term int, offset int64) {
		w.d.Vouched([]string{"VOUCH", voter, "1-00000000000000bb", fmt.Sprint(term), fmt.Sprint(offset)})
	}
	vouch("pod-b", 1, 100)
	vouch("stranger", 1, 100)
	vouch("pod-c", 7, 100)
	if upTo := e.Commit().UpTo(); upTo > 0 {
		t.Fatalf("%d is held with one voter of two", upTo)
	}
	vouch("pod-c", 1, 60)
	if upTo := e.Commit().UpTo(); upTo != 60 {
		t.Fatalf("held up to %d, want 60", upTo)
	}
	eventually(t, "too few voters to write", func() bool { return e.Is(engine.TooFewHolders) }) // nobody vouches any more
	eventually(t, "two voters of two vouch", func() bool {                                      // for the last heartbeat, once it is noted when that was
		end := w.node.offset.Load()
		vouch("pod-b", 1, end)
		vouch("pod-c", 1, end)
		return !e.Is(engine.TooFewHolders)
	})
	if k := w.d.Synchronous(); k != 2 {
		t.Errorf("a reign that begins would wait for %d", k)
	}
}

// TestMutationWithoutTheWait: what lets every reply leave at once is one place.
func TestMutationWithoutTheWait(t *testing.T) {
	w, e := synchronousWorld(t, fence.Mutation{NoCommitWait: true})
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	p := promotion(1, time.Second)
	p.Rosters = rosters(1, 1, nil)
	c.ask(p)
	if k := e.Commit().Required(); k != 0 {
		t.Errorf("%d voters are waited for", k)
	}
	if upTo := e.Commit().UpTo(); upTo == math.MaxInt64 {
		t.Error("somebody was told to hold everything")
	}
}

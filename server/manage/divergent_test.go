package manage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
	"github.com/understudy-db/understudy/server/resp"
)

// deposed is a member that reigned in term 1 up to offset end, and now follows the master of term 2, who had 100.
func deposed(t *testing.T, fs fsys.FS, end int64) (w *world, offer string) {
	t.Helper()
	w = newWorld(t, fs, func(o *Options) { o.History = member.History{{Term: 1, ReplID: strings.Repeat("a", 40)}} })
	w.node.offset.Store(end)
	c := w.operator()
	up := member.Upstream{Name: "b", Addr: "127.0.0.1:1", Voter: otherID, Incarnation: "1-00000000000000bb"}
	if no, ok := c.ask(member.Follow{Order: order1(2), Upstream: up, Master: up.Incarnation, MasterPod: otherID}).(member.Refusal); ok {
		t.Fatal(no.Why)
	}
	return w, encode(fence.SyncOffer{Identity: member.Identity{SetUID: setUID, Voter: otherID, Incarnation: up.Incarnation}, Term: 2, Master: true,
		Data: member.Data{Offset: 120, History: member.History{{Term: 1, ReplID: strings.Repeat("a", 40)}, {Term: 2, ReplID: strings.Repeat("b", 40), Start: 100}}}})
}

func TestDivergentTailIsSetAsideBeforeItGivesWay(t *testing.T) { // rule 11
	fs := fsys.NewMem()
	w, offer := deposed(t, fs, 150)
	write := string(resp.AppendCommandStrings(nil, "SET", "only", "here"))
	w.node.tail = Tail{Stream: []byte(write), DB: 3, Writes: 1}
	if why := w.d.Offer(offer); why != "" {
		t.Fatalf("the offer was refused: %s", why)
	}
	fs.Crash() // what was answered is durable
	name := "divergent-1-" + strings.Repeat("a", 40) + "-100.aof"
	text, err := fsys.ReadFile(fs, filepath.Join(w.state.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	note, commands, _ := strings.Cut(string(text), "\r\n")
	if !strings.HasPrefix(note, "# ") || !strings.Contains(note, "1 writes behind offset 100 up to 150") || len(note) > 1000 {
		t.Errorf("first line %q", note)
	}
	if want := string(resp.AppendCommandStrings(nil, "SELECT", "3")) + write; commands != want {
		t.Errorf("holds %q, want %q", commands, want)
	}
	if r := w.d.Report(); r.Divergent != name {
		t.Errorf("the report names %q", r.Divergent)
	}
	if err := fs.Remove(filepath.Join(w.state.Dir, name)); err != nil {
		t.Fatal(err)
	}
	if r := w.d.Report(); r.Divergent != "" {
		t.Errorf("a person took the file away, and the report names %q", r.Divergent)
	}
}

func TestDivergentTailThatCannotBeWrittenKeepsTheData(t *testing.T) { // rule 11
	fs := fsys.NewFaulty(fsys.NewMem(), nil)
	w, offer := deposed(t, fs, 150)
	w.node.tail = Tail{Stream: []byte(strings.Repeat("x", 4096)), Writes: 1}
	fs.SetSpace(100)
	if why := w.d.Offer(offer); !strings.Contains(why, "make room") {
		t.Fatalf("accepted, or refused with %q", why)
	}
	fs.SetSpace(1 << 20)
	if why := w.d.Offer(offer); why != "" {
		t.Errorf("refused with room: %s", why)
	}
}

// TestDataGivenUpIsSavedBeforeItGivesWay: all of it, for nothing of it is on the new line (rule 11, S2).
func TestDataGivenUpIsSavedBeforeItGivesWay(t *testing.T) {
	lost := member.History{{Term: 1, ReplID: strings.Repeat("a", 40)}}
	fs := fsys.NewMem()
	w := newWorld(t, fs, func(o *Options) { o.History = lost })
	w.node.offset.Store(150)
	w.node.tailErr = errors.New("only the whole data set can be set aside")
	c := w.operator()
	up := member.Upstream{Name: "b", Addr: "127.0.0.1:1", Voter: otherID, Incarnation: "1-00000000000000bb"}
	follow := member.Follow{Order: order1(2), Upstream: up, Master: up.Incarnation, MasterPod: otherID}
	c.ask(follow)
	offer := encode(fence.SyncOffer{Identity: member.Identity{SetUID: setUID, Voter: otherID, Incarnation: up.Incarnation}, Term: 2, Master: true,
		Data: member.Data{Offset: 20, History: member.History{{Term: 2, ReplID: strings.Repeat("b", 40)}}}})
	if why := w.d.Offer(offer); !strings.Contains(why, "unrelated") {
		t.Fatalf("nobody gave it up, and the answer is %q", why)
	}
	follow.GivenUp = lost
	c.ask(follow)
	w.node.refuse = errors.New("no space left on device")
	if why := w.d.Offer(offer); !strings.Contains(why, "make room") {
		t.Fatalf("it cannot be saved, and the answer is %q", why)
	}
	w.node.refuse = nil
	name := "divergent-1-" + strings.Repeat("a", 40) + "-150.rdb"
	if err := fsys.ReplaceBytes(fs, filepath.Join(w.state.Dir, name), []byte("what the node saves")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there already
		if why := w.d.Offer(offer); why != "" {
			t.Fatal(why)
		}
	}
	if n := w.node.count("save to " + name); n != 2 { // one failed
		t.Errorf("saved %d times", n)
	}
	if r := w.d.Report(); r.Divergent != name {
		t.Errorf("the report names %q", r.Divergent)
	}
}

func TestWhatNeedsNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		end  int64
		tail Tail
		err  error
	}{
		"heartbeats only":            {150, Tail{Stream: []byte("*1\r\n$4\r\nPING\r\n")}, nil},
		"no longer in the backlog":   {150, Tail{}, errors.New("gone")},
		"a prefix of the new master": {100, Tail{Stream: []byte("never asked"), Writes: 1}, nil},
	} {
		fs := fsys.NewMem()
		w, offer := deposed(t, fs, c.end)
		w.node.tail, w.node.tailErr = c.tail, c.err
		if why := w.d.Offer(offer); why != "" {
			t.Errorf("%s: refused: %s", name, why)
		}
		if names, _ := w.d.tails.list(".aof"); len(names) > 0 || w.d.Report().Divergent != "" {
			t.Errorf("%s: left %v", name, names)
		}
	}
}

func TestOnlyTheLastTailsStay(t *testing.T) {
	fs := fsys.NewMem()
	tails, err := openTails(fs, "/data")
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("c", 40)
	for term := range member.Term(keptTails + 4) {
		own := member.Data{Offset: 200, History: member.History{{Term: term + 1, ReplID: id}}}
		if _, err := tails.keep(own, 100, Tail{Writes: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsys.ReplaceBytes(fs, "/data/divergent-notes.aof", nil); err != nil { // somebody's own
		t.Fatal(err)
	}
	again, err := openTails(fs, "/data")
	if err != nil {
		t.Fatal(err)
	}
	names, _ := again.list(".aof")
	if len(names) != keptTails || names[0] != tailName(5, id, 100) || again.last != tailName(keptTails+4, id, 100) {
		t.Errorf("kept %v, last %s", names, again.last)
	}
	if all, _ := fs.List("/data"); len(all) != keptTails+1 {
		t.Errorf("%d files: %s", len(all), fmt.Sprint(all))
	}
}

func TestDataGivenUpIsNobodysAndNotWhole(t *testing.T) { // S2, rule 4
	w := newWorld(t, nil, func(o *Options) {
		o.History, o.Whole = member.History{{Term: 1, ReplID: strings.Repeat("a", 40)}}, true
	})
	w.node.offset.Store(100)
	if d := w.d.Report().Data; !d.Whole || len(d.History) != 1 {
		t.Fatalf("before: %+v", d)
	}
	w.node.offset.Store(0)
	w.d.Lost()
	if d := w.d.Report().Data; d.Whole || len(d.History) != 0 || !d.Empty() {
		t.Errorf("after: %+v", d)
	}
}

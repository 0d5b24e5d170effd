package member

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

var samples = []Message{
	Hello{Oldest: 1, Newest: 1, SetUID: "s", Member: &Identity{SetUID: "s", Name: "a-0", Voter: "u", Incarnation: NewIncarnation(1, 7)}},
	Adopt{Order: Order{Term: 3, For: "1-a", Met: true, Leader: "op"}, Handover: true},
	Adopted{Term: 3, Voter: "u", Incarnation: "1-a", Data: Data{History: History{{1, "r", 0}}, Offset: 9, Whole: true}},
	Promote{Order: Order{Term: 3, For: "1-a"}, Voter: "u", ReplID: "r", Lease: time.Second,
		Rosters: Rosters{New: Roster{Version: 2, Voters: []Voter{"u", "v"}, K: 1}, Old: &Roster{Version: 1, Voters: []Voter{"u"}}}},
	Follow{Order: Order{Term: 3, For: "1-a"}, Upstream: Upstream{Name: "a", Addr: "h:1", Voter: "u", Incarnation: "1-b"}, Master: "1-b", MasterPod: "u"},
	TakeRoster{Rosters: Rosters{New: Roster{Version: 2, Voters: []Voter{"u"}}}},
	Park{}, Pause{Length: time.Second}, Resume{},
	LeaseRequest{Term: 1, Voter: "u", Incarnation: "1-a", Stamp: 5}, Lease{LeaseRequest{Term: 1, Stamp: 5}},
	Configure{Set: map[string]string{"maxmemory": "1gb"}, Version: "x"}, Rotate{Step: RotateUse, Version: "v", New: "p\n\"q"},
	Save{}, Ask{}, Done{Term: 1, Offset: 4}, Refusal{Code: RefusedTerm, Why: "old", Term: 9},
	Report{Role: RoleReplica, Link: &Link{Up: true}, Master: &Upstream{Name: "m"}}, Death{Cause: "signal: killed"}, Handover{Term: 1, Why: "SIGTERM"},
}

func TestEveryKindSurvivesTheWire(t *testing.T) {
	if len(samples) != len(decoders) {
		t.Fatalf("%d samples for %d kinds", len(samples), len(decoders))
	}
	var wire bytes.Buffer
	for i, m := range samples {
		line, err := Encode(Frame{ID: uint64(i + 1), Re: 4, Message: m})
		if err != nil {
			t.Fatal(err)
		}
		wire.Write(line)
	}
	r := NewReader(&wire)
	for i, m := range samples {
		f, err := ReadFrame(r)
		if err != nil {
			t.Fatalf("%s: %v", m.Kind(), err)
		}
		if f.ID != uint64(i+1) || f.Re != 4 || !reflect.DeepEqual(f.Message, m) {
			t.Errorf("%s: sent %+v, got %+v", m.Kind(), m, f)
		}
	}
	if _, err := ReadFrame(r); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last frame: %v", err)
	}
}

func TestLongLineEndsTheConnectionBeforeItIsHeld(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"v":1,"k":"ask","b":"`), zeros{})
	if _, err := ReadFrame(NewReader(endless)); !errors.Is(err, ErrTooLong) {
		t.Fatalf("endless line: %v", err)
	}
	big := Configure{Set: map[string]string{"x": strings.Repeat("y", MaxLine)}}
	if _, err := Encode(Frame{Message: big}); !errors.Is(err, ErrTooLong) {
		t.Fatalf("encoding a long line: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestBadFrames(t *testing.T) {
	for _, line := range []string{"", "{", `{"v":0,"k":"ask"}`, `{"v":1,"k":"adopt","b":[]}`, `[]`} {
		if f, err := Decode([]byte(line)); err == nil {
			t.Errorf("%q decoded to %+v", line, f)
		}
	}
	var unknown *UnknownKindError
	if _, err := Decode([]byte(`{"v":2,"k":"teleport","id":4}`)); !errors.As(err, &unknown) || unknown.ID != 4 {
		t.Errorf("unknown kind: %v", err)
	}
	if _, err := Decode([]byte(`{"v":1,"k":"ask","new":1,"b":{"later":true}}`)); err != nil {
		t.Errorf("unknown fields must pass: %v", err)
	}
	if _, err := ReadFrame(NewReader(strings.NewReader(`{"v":1`))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut line: %v", err)
	}
}

func TestNegotiate(t *testing.T) {
	if v, no := Negotiate(Hello{Oldest: 1, Newest: 9}); no != nil || v != ProtocolVersion {
		t.Errorf("newer peer: %d %v", v, no)
	}
	if _, no := Negotiate(Hello{Oldest: ProtocolVersion + 1, Newest: 9}); no == nil || no.Code != RefusedVersion {
		t.Errorf("too new peer: %v", no)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples {
		line, _ := Encode(Frame{ID: 1, Message: m})
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		frame, err := Decode(line)
		if err != nil {
			return
		}
		again, err := Encode(frame)
		if errors.Is(err, ErrTooLong) {
			return
		}
		if err != nil {
			t.Fatalf("%+v decoded but does not encode: %v", frame, err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third, err := Encode(back); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("not stable: %s then %s (%v)", again, third, err)
		}
	})
}

func TestHistory(t *testing.T) {
	h := History{{1, "a", 0}, {3, "b", 100}}
	for offset, want := range map[int64]Position{0: {0, 0}, 50: {1, 50}, 100: {1, 100}, 101: {3, 101}} {
		if got := h.At(offset); got != want {
			t.Errorf("at %d: %v, want %v", offset, got, want)
		}
	}
	for _, c := range []struct {
		name       string
		o          History
		own, other int64
		end        int64
		related    bool
	}{
		{"prefix", History{{1, "a", 0}}, 150, 90, 90, true},
		{"divergent tail", History{{1, "a", 0}}, 150, 130, 100, true},
		{"same", h, 150, 140, 140, true},
		{"forked later", History{{1, "a", 0}, {2, "c", 80}}, 150, 95, 80, true},
		{"unrelated", History{{1, "z", 0}}, 150, 90, 0, false},
		{"forgot its oldest", History{{3, "b", 100}, {4, "d", 120}}, 150, 130, 120, true},
	} {
		end, related := h.Common(c.own, c.o, c.other)
		if end != c.end || related != c.related {
			t.Errorf("%s: %d %v, want %d %v", c.name, end, related, c.end, c.related)
		}
		if back, rel := c.o.Common(c.other, h, c.own); back != end || rel != related {
			t.Errorf("%s: not symmetric", c.name)
		}
	}
	if u := h.Until(99); len(u) != 1 {
		t.Errorf("until 99: %v", u)
	}
}

func TestCountsIntersect(t *testing.T) {
	for n := 1; n <= 9; n++ {
		r := Roster{Voters: make([]Voter, n)}
		if r.Vouchers()+r.Blocking() <= n-1 && n > 1 {
			t.Errorf("n=%d: %d vouchers and %d adopters need not meet", n, r.Vouchers(), r.Blocking())
		}
	}
}

func TestIncarnationOrder(t *testing.T) {
	a, b := NewIncarnation(2, 99), NewIncarnation(10, 1)
	if !b.NewerThan(a) || a.NewerThan(b) || a.NewerThan(a) || a.NewerThan("x") || NewIncarnation(2, 1).NewerThan(a) {
		t.Error("incarnations of a pod are ordered by their count")
	}
}

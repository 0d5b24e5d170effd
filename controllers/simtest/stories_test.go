package simtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/plan"
)

const sec = time.Second

// story is a quiet world in which one thing happens.
type story struct {
	name   string
	about  string
	adjust func(*Options)
	script func(*World)
	check  func(*testing.T, *World, Result)
}

func atMaster(at time.Duration, fn func(*World, *server)) func(*World) {
	return func(w *World) {
		w.after(at, func() {
			if m := w.master(); m != nil {
				fn(w, m)
			} else {
				w.check.fail("story: no master at %v", at)
			}
		})
	}
}

func isolate(w *World, n string, d time.Duration) {
	for _, s := range w.sites() {
		if s != n {
			w.cutFor(n, s, true, d)
		}
	}
}

// request asks for another master, and does something as soon as the switchover has come so far.
func request(w *World, when func(m, x *server) bool, then func(m, x *server)) {
	atMaster(3*sec, func(w *World, m *server) {
		x := m
		for _, p := range w.pods {
			if p.srv != nil && p.srv != m {
				x = p.srv
			}
		}
		w.api.spec.Request = x.pod.name
		var look func()
		look = func() {
			if when(m, x) {
				then(m, x)
				return
			}
			w.after(200*time.Microsecond, look)
		}
		look()
	})(w)
}

var stories = []story{
	{"crash", "the master's process is killed under load, no persistence; the best replica takes over, the old master comes back empty with one full sync", nil,
		atMaster(3*sec, func(w *World, m *server) { m.crash() }),
		func(t *testing.T, w *World, r Result) {
			want(t, r.FullSyncs, 3, "full syncs")
			want(t, r.Changes, 1, "changes of master")
		}},
	{"switchover", "spec.master asks for another member: pause, equal, adopt, promote; nobody loads anything", nil,
		func(w *World) { w.after(3*sec, func() { w.api.spec.Request = "orders-0" }) },
		func(t *testing.T, w *World, r Result) {
			want(t, r.FullSyncs, 2, "full syncs")
			want(t, r.Changes, 1, "changes of master")
			if m := w.master(); m.pod.name != "orders-0" {
				t.Errorf("master is %s", m.pod.name)
			}
		}},
	{"switchover-lost-successor", "the member that is to take over dies after it was appointed: the role goes back, under a term that counts both as unfenced", nil,
		func(w *World) {
			request(w, func(m, x *server) bool { return m.m.Role() == member.RoleParked }, func(_, x *server) { x.crash() })
		},
		func(t *testing.T, w *World, r Result) {
			if r.Terms < 3 {
				t.Errorf("terms to %d: the appointment was to be given up", r.Terms)
			}
		}},
	{"switchover-lost-leader", "the leader dies when the successor has taken over, before it could record that: the next one finds out and records it", nil,
		func(w *World) {
			request(w, func(_, x *server) bool { return x.m.Role() == member.RoleMaster }, func(_, _ *server) {
				for _, o := range w.ops {
					if o.leading() {
						o.crash(9 * sec)
					}
				}
			})
		},
		func(t *testing.T, w *World, r Result) {
			want(t, int(r.Terms), 2, "terms")
			want(t, r.Changes, 1, "changes of master")
			want(t, r.FullSyncs, 2, "full syncs")
		}},
	{"switchover-lost-master", "the old master dies while its clients are held: a failover, nobody waits for a switchover that cannot be", nil,
		func(w *World) {
			request(w, func(m, _ *server) bool { return m.pausedUntil > 0 }, func(m, _ *server) { m.crash() })
		},
		func(t *testing.T, w *World, r Result) { want(t, int(r.Terms), 3, "terms") }},
	{"partition", "the master is cut off with its clients: it stops writing before another begins, then comes back with a tail that is set aside", nil,
		atMaster(3*sec, func(w *World, m *server) { isolate(w, m.pod.node.name, 9*sec) }),
		func(t *testing.T, w *World, r Result) { want(t, r.Changes, 1, "changes of master") }},
	{"two-operators", "the leader is stopped in the middle of a failover; the other takes over; the first wakes up and may change nothing", nil,
		func(w *World) {
			w.after(3*sec, func() { w.master().crash() })
			w.after(3*sec+7*ms, func() {
				for _, o := range w.ops {
					if o.leading() {
						w.pauseFor(&o.proc, o.site, 9*sec)
					}
				}
			})
		},
		func(t *testing.T, w *World, r Result) { want(t, r.Changes, 1, "changes of master") }},
	{"status-lost", "the resource's status is wiped: the master is unknown, the next term is far above", nil,
		func(w *World) { w.after(3*sec, w.api.wipe) },
		func(t *testing.T, w *World, r Result) {
			if r.Terms <= member.LostStatusJump {
				t.Errorf("term %d", r.Terms)
			}
			want(t, r.FullSyncs, 2, "full syncs")
		}},
	{"all-lost", "every container of a set without persistence is killed at once: a new history begins, and says so", nil,
		func(w *World) {
			w.after(3*sec, func() {
				for _, p := range w.pods {
					p.killContainer("power cut")
				}
			})
		},
		func(t *testing.T, w *World, r Result) { want(t, w.check.newLines, 2, "histories begun") }},
	{"cold-start", "power cut with disks: the member whose disk holds most becomes master, nothing is lost", func(o *Options) { o.Spec.Persist, o.AOF = plan.PersistAll, true },
		func(w *World) {
			w.after(3*sec, func() {
				for _, p := range w.pods {
					p.killContainer("power cut")
				}
			})
		},
		func(t *testing.T, w *World, r Result) {
			want(t, r.FullSyncs, 2, "full syncs")
			want(t, w.check.newLines, 1, "histories begun")
		}},
	{"roster", "a replica's pod is deleted by force; its successor is a new voter only when it is in sync and the master took the roster", nil,
		func(w *World) {
			w.after(3*sec, func() {
				for _, p := range w.pods {
					if p.srv != nil && p.srv.m.Role() == member.RoleReplica {
						p.forceDelete()
						return
					}
				}
			})
		},
		func(t *testing.T, w *World, r Result) {
			want(t, r.Changes, 0, "changes of master")
			want(t, r.FullSyncs, 3, "full syncs")
		}},
	{"scale", "three members become five, then two; the master keeps its place", nil,
		func(w *World) {
			w.after(3*sec, func() { w.api.spec.Members = 5 })
			w.after(7*sec, func() { w.api.spec.Members = 2 })
		},
		func(t *testing.T, w *World, r Result) {
			want(t, len(w.api.status.Term.Rosters.New.Voters), 2, "voters")
		}},
	{"rolling", "a new revision: replicas first, each when the one before is in sync, then a switchover, the old master last", nil,
		func(w *World) { w.after(3*sec, func() { w.api.spec.Revision = "r2" }) },
		func(t *testing.T, w *World, r Result) {
			want(t, r.Changes, 1, "changes of master")
			want(t, r.FullSyncs, 5, "full syncs: every pod once more")
		}},
	{"rolling-single", "one member without persistence gets a new revision: a second one takes over first, so nothing is lost", func(o *Options) { o.Spec.Members = 1 },
		func(w *World) { w.after(3*sec, func() { w.api.spec.Revision = "r2" }) },
		func(t *testing.T, w *World, r Result) { want(t, w.check.newLines, 1, "histories begun") }},
	{"terminate", "the master's pod is deleted gracefully: it hands over before it exits", nil,
		atMaster(3*sec, func(w *World, m *server) { m.pod.delete() }),
		func(t *testing.T, w *World, r Result) {
			want(t, r.Changes, 1, "changes of master")
			want(t, r.FullSyncs, 3, "full syncs")
		}},
	{"chain", "five members in a chain; the master dies; the chain forms again below the new one", func(o *Options) { o.Spec.Members, o.Spec.Shape = 5, plan.Chain },
		atMaster(4*sec, func(w *World, m *server) { m.crash() }),
		func(t *testing.T, w *World, r Result) { want(t, r.FullSyncs, 5, "full syncs") }},
	{"rotation", "the password changes: accept, use, drop, everywhere, no link lost", nil,
		func(w *World) { w.after(3*sec, func() { w.api.spec.AuthVersion = "a2" }) },
		func(t *testing.T, w *World, r Result) {
			want(t, r.FullSyncs, 2, "full syncs")
			want(t, int(r.Terms), 1, "terms")
		}},
}

func want(t *testing.T, got, want int, what string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func quietWorld() Options {
	return Options{Seed: 7, Spec: DefaultSpec(), Nodes: 4, For: 14 * sec, Settle: 40 * sec}
}

// TestStories tells the main flows step by step and compares with testdata. -rewrite writes it anew;
// read the difference before committing it.
func TestStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			opt := quietWorld()
			if s.adjust != nil {
				s.adjust(&opt)
			}
			var out bytes.Buffer
			opt.Trace = &out
			opt.Script = s.script
			w := newWorld(opt)
			r := w.live()
			if r.Violation != "" {
				t.Fatalf("%s\n%s", r, tail(out.String(), 60))
			}
			if r.Lost {
				t.Errorf("a write that every voter held is gone")
			}
			s.check(t, w, r)
			got := fmt.Sprintf("# %s\n%s# %s\n", s.about, tidy(out.String()), r)
			golden(t, filepath.Join("testdata", s.name+".txt"), got)
		})
	}
}

// tidy drops lines that only repeat.
func tidy(trace string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(trace) {
		what := line[min(10, len(line)):]
		if strings.Contains(what, "is not fed") || (seen[what] && strings.Contains(what, ": ")) {
			continue
		}
		seen[what] = true
		b.WriteString(line)
	}
	return b.String()
}

func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s differs at line %d:\nwant %s\ngot  %s", file, i+1, at(a, i), at(b, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// TestSameSeedSameTrace: the world is deterministic.
func TestSameSeedSameTrace(t *testing.T) {
	for s := int64(1); s <= 5; s++ {
		var a, b bytes.Buffer
		opt := Random(s)
		opt.Trace = &a
		Run(opt)
		opt.Trace = &b
		Run(opt)
		if a.Len() == 0 || a.String() != b.String() {
			t.Fatalf("seed %d told two stories", s)
		}
	}
}

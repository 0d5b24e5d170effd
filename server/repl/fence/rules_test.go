package fence

import (
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

const lease = 2 * time.Second

func ident(v member.Voter, seq uint64) member.Identity {
	return member.Identity{SetUID: "set", Name: "m-" + string(v), Voter: v, Incarnation: member.NewIncarnation(seq, uint64(v[0]))}
}

func order(m *Machine, t member.Term) member.Order {
	return member.Order{Term: t, For: m.id.Incarnation, Met: true}
}

func roster(version uint64, k int, voters ...member.Voter) member.Roster {
	return member.Roster{Version: version, Voters: voters, K: k}
}

func born(mut Mutation, v member.Voter) *Machine {
	return New(Config{ID: ident(v, 1), Mutation: mut}, Boot{Whole: true})
}

// reigning is pod a as master of term 1 over the rosters, promoted at 1s, its stream at 100.
func reigning(mut Mutation, r member.Rosters) *Machine {
	m := born(mut, "a")
	m.Handle(0, member.Adopt{Order: order(m, 1)})
	m.Handle(time.Second, member.Promote{Order: order(m, 1), Voter: "a", Rosters: r, ReplID: "r1", Lease: lease})
	if m.Role() != member.RoleMaster {
		panic("not master")
	}
	m.Appended(100, time.Second)
	return m
}

func three() member.Rosters { return member.Rosters{New: roster(1, 0, "a", "b", "c")} }

// following is pod b as a joined replica of a in term 1.
func following(mut Mutation) *Machine {
	m := born(mut, "b")
	m.Handle(0, member.Follow{Order: order(m, 1), Upstream: upstreamA(), Master: ident("a", 1).Incarnation, MasterPod: "a"})
	m.Joined()
	return m
}

func upstreamA() member.Upstream {
	id := ident("a", 1)
	return member.Upstream{Name: "m-a", Addr: "a:1", Voter: "a", Incarnation: id.Incarnation}
}

func voucher(v member.Voter, t member.Term, offset int64) Voucher {
	return Voucher{Voter: v, Incarnation: ident(v, 1).Incarnation, Term: t, Offset: offset}
}

func has[E Effect](effects []Effect) (int, bool) {
	for i, e := range effects {
		if _, ok := e.(E); ok {
			return i, true
		}
	}
	return 0, false
}

func refused(effects []Effect) member.RefusalCode {
	for _, e := range effects {
		if a, ok := e.(Answer); ok {
			if r, ok := a.Message.(member.Refusal); ok {
				return r.Code
			}
		}
	}
	return ""
}

// TestRules: every rule holds, and the same check fails when that one rule is turned off.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule  string
		off   Mutation
		holds func(Mutation) bool
	}{
		{"1: a lease runs from the stamp of its request", Mutation{LeaseFromArrival: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Handle(9*time.Second, member.Lease{LeaseRequest: member.LeaseRequest{Term: 1, Voter: "a", Incarnation: m.id.Incarnation, Stamp: 2 * time.Second}})
			return m.WriteDeadline() == 2*time.Second+lease*9/10
		}},
		{"1: a voucher counts from when its offset was appended", Mutation{VoucherFromArrival: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Appended(200, 3*time.Second)
			m.Acked(9*time.Second, voucher("b", 1, 199))
			return m.WriteDeadline() == time.Second+lease*9/10
		}},
		{"1: an offset from before the reign says nothing", Mutation{OldMarks: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Acked(9*time.Second, voucher("b", 1, 99))
			return m.WriteDeadline() == 0
		}},
		{"1: a stamp is valid within one incarnation and term", Mutation{AnyLease: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Handle(2*time.Second, member.Lease{LeaseRequest: member.LeaseRequest{Term: 1, Voter: "a", Incarnation: "9-other", Stamp: 500 * time.Second}})
			m.Handle(2*time.Second, member.Lease{LeaseRequest: member.LeaseRequest{Term: 2, Voter: "a", Incarnation: m.id.Incarnation, Stamp: 2 * time.Second}})
			return m.WriteDeadline() == 0
		}},
		{"clocks: a tenth is taken off every promise", Mutation{NoDrift: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Acked(time.Second, voucher("b", 1, 100))
			return (m.WriteDeadline()-time.Second)*11 <= lease*10
		}},
		{"2: no promise, no write", Mutation{NoWriteCheck: true}, func(x Mutation) bool {
			return reigning(x, three()).WriteDeadline() == 0
		}},
		{"3: only voters vouch", Mutation{AnyVoter: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Acked(time.Second, voucher("z", 1, 100))
			return m.WriteDeadline() == 0
		}},
		{"3: until a roster is final both count", Mutation{NewRosterOnly: true}, func(x Mutation) bool {
			old := roster(1, 0, "a", "b", "c")
			m := reigning(x, member.Rosters{New: roster(2, 0, "a", "d"), Old: &old})
			m.Acked(time.Second, voucher("d", 1, 100))
			return m.WriteDeadline() == 0
		}},
		{"4: an adopter stops writing", Mutation{KeepWriting: true}, func(x Mutation) bool {
			m := reigning(x, three())
			m.Acked(time.Second, voucher("b", 1, 100))
			m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
			return m.WriteDeadline() == 0
		}},
		{"4: an adopter stops acknowledging", Mutation{KeepAcking: true}, func(x Mutation) bool {
			m := following(x)
			m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
			_, ok := m.Voucher(0, 100)
			return !ok
		}},
		{"4: the term is durable before the answer leaves", Mutation{NoPersist: true}, func(x Mutation) bool {
			m := following(x)
			out := m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
			p, ok := has[Persist](out)
			a, _ := has[AnswerAdopted](out)
			return ok && p < a
		}},
		{"4: writes stop before the answer leaves", Mutation{KeepWriting: true}, func(x Mutation) bool {
			m := reigning(x, three())
			out := m.Handle(time.Second, member.Adopt{Order: order(m, 2)})
			p, ok := has[StopWrites](out)
			a, _ := has[AnswerAdopted](out)
			return ok && p < a
		}},
		{"5: an adopter tells the age of its newest promise", Mutation{QuietSinceFirst: true}, func(x Mutation) bool {
			m := following(x)
			m.Voucher(time.Second, 100)
			m.Voucher(2*time.Second, 101)
			m.Voucher(3*time.Second, 101) // counts from the same instant
			out := m.Handle(5*time.Second, member.Adopt{Order: order(m, 2)})
			i, ok := has[AnswerAdopted](out)
			return ok && out[i].(AnswerAdopted).Adopted.Quiet == 3*time.Second
		}},
		{"6: what was lost is not whole", Mutation{WholeAlways: true}, func(x Mutation) bool {
			return !New(Config{ID: ident("b", 2), Mutation: x}, Boot{Record: &Record{SetUID: "set", Term: 1}}).Whole()
		}},
		{"7: a promotion names the incarnation", Mutation{PromoteAnyone: true}, func(x Mutation) bool {
			m := born(x, "a")
			m.Handle(0, member.Adopt{Order: order(m, 1)})
			o := order(m, 1)
			o.For = "7-earlier"
			m.Handle(0, member.Promote{Order: o, Voter: "a", Rosters: three(), ReplID: "r", Lease: lease})
			return m.Role() == member.RoleParked
		}},
		{"7: an older term is over", Mutation{AnyTerm: true}, func(x Mutation) bool {
			m := following(x)
			m.Handle(0, member.Adopt{Order: order(m, 5)})
			m.Handle(0, member.Follow{Order: order(m, 1), Upstream: upstreamA()})
			return m.Role() == member.RoleParked
		}},
		{"9: without a term only a leader that read status since is obeyed", Mutation{ObeyUnmet: true}, func(x Mutation) bool {
			m := born(x, "a")
			o := order(m, 1)
			o.Met = false
			m.Handle(0, member.Adopt{Order: o})
			return m.Term() == 0
		}},
		{"11: rejoin asks the history table", Mutation{BlindJoin: true}, func(x Mutation) bool {
			m := following(x)
			v := m.MayLoad(data(120, 1, 0), offerA(data(150, 1, 0, 2, 100)))
			return v.Sync == Full && v.Common == 100 && v.SetAside
		}},
		{"S2: the replica refuses to lose its data to an unrelated history", Mutation{GuardOff: true}, func(x Mutation) bool {
			m := following(x)
			return m.MayLoad(data(120, 1, 0), offerA(data(5, 9, 0))).Code == member.RefusedGuard
		}},
		{"S2: the feeder refuses to wipe", Mutation{GuardOff: true}, func(x Mutation) bool {
			m := reigning(x, three())
			return m.MayFeed(data(5, 9, 0), request(m, data(120, 1, 0))).Sync == Refuse
		}},
		{"S2: what a person gave up gives way, and nothing else", Mutation{GiveUpAll: true}, func(x Mutation) bool {
			m := following(x)
			m.rec.GivenUp = data(0, 7, 0).History
			return m.MayLoad(data(120, 7, 0), offerA(data(5, 9, 0))).Sync == Full && m.MayLoad(data(120, 1, 0), offerA(data(5, 9, 0))).Code == member.RefusedGuard
		}},
		{"13: who does not hold all that the old master had does not take over", Mutation{TakeBlindly: true}, func(x Mutation) bool {
			m := following(x)
			p := member.Promote{Order: order(m, 2), Voter: "b", Rosters: three(), ReplID: "r2", Lease: lease, After: &member.Position{Term: 1, Offset: 120}}
			m.TakeOver(time.Second, p, data(119, 1, 0))
			return m.Role() == member.RoleReplica && m.Term() == 1
		}},
		{"S3: a parked member feeds nobody", Mutation{GuardOff: true, ParkedFeeds: true}, func(x Mutation) bool {
			m := born(x, "a")
			return m.MayFeed(member.Data{}, request(m, data(120, 1, 0))).Sync == Refuse
		}},
		{"S3: no voucher with the term lost", Mutation{VouchUnspoken: true}, func(x Mutation) bool {
			m := born(x, "b")
			up := upstreamA()
			m.HearPeer(member.Report{Identity: ident("a", 1), Term: 4, Master: &up})
			m.Joined()
			_, vouches := m.Voucher(0, 10)
			return m.Role() == member.RoleReplica && !vouches
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if !c.holds(Mutation{}) {
				t.Error("the rule does not hold")
			}
			if c.holds(c.off) {
				t.Error("turning the rule off changes nothing: the test cannot fail")
			}
		})
	}
}

// data is a data set at offset with epochs (term, start)...
func data(offset int64, epochs ...int64) member.Data {
	d := member.Data{Offset: offset}
	for i := 0; i < len(epochs); i += 2 {
		t := member.Term(epochs[i])
		d.History = append(d.History, member.Epoch{Term: t, ReplID: string(rune('a' + t)), Start: epochs[i+1]})
	}
	return d
}

func offerA(d member.Data) SyncOffer {
	return SyncOffer{Identity: ident("a", 1), Term: 1, Master: true, Data: d}
}

func request(m *Machine, d member.Data) SyncRequest {
	return SyncRequest{Identity: ident("b", 1), Term: m.term(), Data: d}
}

// TestUnfencedWritesForEver: fencing None gives S1 up knowingly, and only an adoption ends such a reign's writes.
func TestUnfencedWritesForEver(t *testing.T) {
	m := born(Mutation{}, "a")
	m.Handle(0, member.Adopt{Order: order(m, 1)})
	m.Handle(time.Second, member.Promote{Order: order(m, 1), Voter: "a", Rosters: three(), ReplID: "r1", Lease: lease, Unfenced: true})
	if m.WriteDeadline() != Never {
		t.Errorf("writes end at %v without a lease", m.WriteDeadline())
	}
	m.Handle(2*time.Second, member.Adopt{Order: order(m, 2)})
	if m.WriteDeadline() != 0 {
		t.Errorf("writes go on until %v after a higher term was adopted", m.WriteDeadline())
	}
}

package link_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/oplog"
	. "github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/settings"
)

// vouchers is a stand-in for a member's fencing machine: it knows its set, and notes what it is told.
type vouchers struct {
	set, name string
	mu        sync.Mutex
	got       []string
	joined    int
}

func (v *vouchers) managed() *link.Managed {
	return &link.Managed{
		Hello: func() string { return v.set },
		Offer: func(answer string) string { return v.judge(answer) },
		Admit: func(hello string) (string, string) {
			if why := v.judge(hello); why != "" {
				return "", "foreign " + why
			}
			return v.set, ""
		},
		AckWords: func(offset int64, _ time.Duration) []string {
			return []string{"VOUCH", v.name, strconv.FormatInt(offset, 10)}
		},
		Vouched: func(words []string) {
			v.mu.Lock()
			v.got = append(v.got, strings.Join(words, " "))
			v.mu.Unlock()
		},
		Joined: func(bool) {
			v.mu.Lock()
			v.joined++
			v.mu.Unlock()
		},
	}
}

func (v *vouchers) judge(set string) string {
	if set != v.set {
		return "it is of set " + set + ", this is " + v.set
	}
	return ""
}

func (v *vouchers) has(word string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, g := range v.got {
		if g == word {
			return true
		}
	}
	return false
}

func at(p Peer) settings.Upstream { return settings.Upstream{Host: "127.0.0.1", Port: p.Port()} }

// vouchedAtOnce wants a member's vouchers for heartbeats sooner than with the acknowledgement of each second. The next of those comes a
// second after the one that brought the voucher before, so many heartbeats in a row would take as many seconds; half of them
// are left to the machine.
func vouchedAtOnce(t *testing.T, master *Server, seen *vouchers, voter string) {
	t.Helper()
	const beats = 12
	start := time.Now()
	for range beats {
		word := "VOUCH " + voter + " " + strconv.FormatInt(master.Node.Heartbeat(), 10)
		for end := time.Now().Add(30 * time.Second); !seen.has(word); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s", word)
			}
		}
	}
	if took := time.Since(start); took > beats*time.Second/2 {
		t.Errorf("%d heartbeats were vouched for within %v: with the acknowledgements of each second", beats, took)
	}
}

// TestMembersVouchForHeartbeatsAtOnce: rule 1 needs an acknowledgement within a fraction of the lease, not each second.
func TestMembersVouchForHeartbeatsAtOnce(t *testing.T) {
	mv, rv := &vouchers{set: "s", name: "m"}, &vouchers{set: "s", name: "r"}
	master, replica := StartMember(t, mv.managed(), noDelay...), StartMember(t, rv.managed())
	master.Node.Lead(oplog.RandomID())
	replica.Node.Follow(at(master))
	AwaitLink(t, replica)
	Await(t, "the replica to be online", func() bool { return master.Node.Status().Replicas == 1 })
	vouchedAtOnce(t, master, mv, "r")
	master.Must("SET", "a", "1")
	MustAgree(t, master, replica)
}

// TestTheStreamStandsStillInAPause: a switchover waits for a replica that holds everything (rule 13); a heartbeat after the
// pause began would let the master be ahead again.
func TestTheStreamStandsStillInAPause(t *testing.T) {
	mv := &vouchers{set: "s", name: "m"}
	master := StartMember(t, mv.managed(), noDelay...)
	master.Node.Lead(oplog.RandomID())
	before := master.Node.Heartbeat()
	master.Engine.Pause(engine.PauseWrites, time.Minute)
	if end := master.Node.Heartbeat(); end != before {
		t.Errorf("a heartbeat moved the stream from %d to %d while clients were paused", before, end)
	}
	master.Engine.Unpause()
	if end := master.Node.Heartbeat(); end <= before {
		t.Errorf("no heartbeat after the pause: the stream stays at %d", end)
	}
}

// TestForeignMembersAreRefused, by the master, and by the replica when the master does not know the option.
func TestForeignMembersAreRefused(t *testing.T) {
	ours, foreign := &vouchers{set: "s"}, &vouchers{set: "other"}
	master, stranger := StartMember(t, ours.managed(), noDelay...), StartMember(t, foreign.managed())
	master.Node.Lead(oplog.RandomID())
	stranger.Node.Follow(at(master))
	Await(t, "the refusal", func() bool { return strings.Contains(stranger.Log(), "-FENCED foreign it is of set other") })
	redis := StartRedis(t)
	stranger.Node.Follow(at(redis))
	Await(t, "the refusal of a server outside", func() bool {
		return strings.Contains(stranger.Log(), "This member does not follow that master: -ERR Unrecognized REPLCONF option")
	})
	if got := master.Info("sync_full") + redis.Info("sync_full"); got != "00" {
		t.Errorf("full syncs %s", got)
	}
}

// TestAParkedMemberWritesAndFeedsNothing: S3. It keeps and serves its data.
func TestAParkedMemberWritesAndFeedsNothing(t *testing.T) {
	v := &vouchers{set: "s"}
	master, replica, external := StartMember(t, v.managed(), noDelay...), StartMember(t, v.managed()), StartRedis(t)
	if got := master.Do("SET", "a", "1"); !strings.HasPrefix(string(got.Str), "READONLY") {
		t.Fatalf("a parked member took a write: %s", got)
	}
	external.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	time.Sleep(1200 * time.Millisecond)
	if got := master.Info("sync_full"); got != "0" {
		t.Fatalf("a parked member fed %s full syncs", got)
	}
	first := master.Node.Lead(oplog.RandomID())
	replica.Node.Follow(at(master))
	AwaitLink(t, replica)
	AwaitLink(t, external)
	master.Must("SET", "a", "1")
	MustAgree(t, master, replica, external)

	master.Node.Park()
	end := master.Node.Offset()
	Await(t, "the replica to have everything", func() bool { return replica.Node.Offset() == end }) // a PING may have been the last
	if got := master.Do("SET", "a", "2"); !strings.HasPrefix(string(got.Str), "READONLY") {
		t.Errorf("a parked member took a write: %s", got)
	}
	if got := master.Do("GET", "a"); string(got.Str) != "1" && !strings.HasPrefix(string(got.Str), "MASTERDOWN") {
		t.Errorf("GET on a parked member: %s", got)
	}
	if start := replica.Node.Lead(oplog.RandomID()); start != end || start <= first {
		t.Errorf("the new reign starts at %d, the old one ended at %d", start, end)
	}
	master.Node.Follow(at(replica))
	AwaitLink(t, master)
	replica.Must("SET", "b", "2")
	MustAgree(t, replica, master)
	if got := replica.Info("sync_full"); got != "0" { // S8
		t.Errorf("a planned change cost %s full syncs", got)
	}
	for _, order := range [][]string{{"REPLICAOF", "NO", "ONE"}, {"SLAVEOF", "127.0.0.1", "1"}} {
		if got := master.Do(order...); !strings.HasPrefix(string(got.Str), "READONLY") {
			t.Errorf("%v by a client: %s", order, got)
		}
	}
}

// TestParkedMemberGoesOnInItsDatabase: the master says SELECT once; a replica that was parked meanwhile must remember it.
func TestParkedMemberGoesOnInItsDatabase(t *testing.T) {
	mv, rv := &vouchers{set: "s", name: "m"}, &vouchers{set: "s", name: "r"}
	master, replica := StartMember(t, mv.managed(), noDelay...), StartMember(t, rv.managed())
	master.Node.Lead(oplog.RandomID())
	replica.Node.Follow(at(master))
	AwaitLink(t, replica)
	master.Must("SELECT", "3")
	master.Must("SET", "k", "1")
	master.Must("WAIT", "1", "0")
	replica.Node.Park()
	master.Must("SET", "k", "2")
	replica.Node.Follow(at(master))
	AwaitLink(t, replica)
	if n := replica.Info("full_syncs_loaded"); n != "1" {
		t.Fatalf("%s full syncs", n)
	}
	MustAgree(t, master, replica)
}

// TestVouchersComeUpAChainAtOnce: the master of a chain may have to wait for the member at its end.
func TestVouchersComeUpAChainAtOnce(t *testing.T) {
	top, middle, end := &vouchers{set: "s", name: "top"}, &vouchers{set: "s", name: "middle"}, &vouchers{set: "s", name: "end"}
	relays := middle.managed()
	relays.AckWords = func(offset int64, _ time.Duration) []string {
		middle.mu.Lock()
		defer middle.mu.Unlock()
		if len(middle.got) == 0 {
			return nil
		}
		return strings.Fields(middle.got[len(middle.got)-1])
	}
	master, between, last := StartMember(t, top.managed(), noDelay...), StartMember(t, relays, noDelay...), StartMember(t, end.managed())
	master.Node.Lead(oplog.RandomID())
	between.Node.Follow(at(master))
	AwaitLink(t, between)
	last.Node.Follow(at(between))
	AwaitLink(t, last)
	Await(t, "the last member to be online", func() bool {
		return between.Node.Status().Replicas == 1 && top.has("VOUCH end "+strconv.FormatInt(last.Node.Offset(), 10))
	})
	vouchedAtOnce(t, master, top, "end")
}

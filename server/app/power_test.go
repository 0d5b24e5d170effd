package app

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

var (
	powerCuts = flag.Int("power.cuts", 8, "losses of power in each of the four lives")
	powerSeed = flag.Uint64("power.seed", 1, "seed of what happens between them")
)

// powerDisk names what makes the disk of a pod one that loses power with the process: a seed, a file for its own use, and the directories.
const powerDisk = "UNDERSTUDY_TEST_POWER"

// loseWithPower puts the disk in place that the environment asks for.
func loseWithPower() error {
	words := strings.Split(os.Getenv(powerDisk), " ")
	if len(words) < 3 {
		return nil
	}
	seed, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return err
	}
	disk, err = fsys.NewVolatile(seed, words[1], words[2:]...)
	return err
}

// cut ends the container as a loss of power does: its disks have what was synced.
func (p *pod) cut() {
	p.t.Helper()
	child := p.child()
	_ = p.cmd.Process.Kill()
	_ = syscall.Kill(child, syscall.SIGKILL) // it would end with its parent, a little later
	<-p.exited
	p.exited <- errors.New("no power")
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", child)) // while there are others the files are open
		if _, state, _ := bytes.Cut(stat, []byte(") ")); err != nil || bytes.HasPrefix(state, []byte("Z")) && len(threads) < 2 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatal("the server does not end")
		}
	}
}

// darkness is a set of two members whose power fails again and again, and what its clients know.
type darkness struct {
	t       *testing.T
	r       *rand.Rand
	pods    [2]*pod
	leaders [2]*leader
	master  int
	term    member.Term
	version uint64
	k       int
	always  bool

	sent, acked   int  // writes: each raises a counter and leaves a key
	floor         int  // writes that were in the files of both
	loses         bool // what is acknowledged may be lost: it was promised to nobody that it would survive this
	partial, full int  // joinings
	lost          int  // writes that were acknowledged
}

// TestLossOfPower takes the power from a master, its replica or both, again and again, while clients write and files are written anew. A member
// comes back parked, with the term that it had promised; it calls itself whole only if it is; what was acknowledged is there where it
// was promised; and nobody needs a full sync but a master that had more than its successor (S3, S5, S6, S8, rule 4).
func TestLossOfPower(t *testing.T) {
	for _, always := range []bool{true, false} {
		for k := range 2 {
			policy := map[bool]string{true: "always", false: "everysec"}[always]
			t.Run(fmt.Sprintf("%s, %d synchronous", policy, k), func(t *testing.T) {
				d := &darkness{t: t, r: rand.New(rand.NewPCG(*powerSeed, uint64(k))), k: k, always: always}
				d.found(policy)
				for n := range *powerCuts {
					d.round(n)
				}
				t.Logf("%d writes are left after %d cuts, joined again %d times by a partial and %d by a full sync, %d acknowledged writes lost", d.acked, *powerCuts, d.partial, d.full, d.lost)
				if *powerCuts >= 8 && (d.partial == 0 || d.acked == 0) {
					t.Error("too little has happened to prove anything")
				}
			})
		}
	}
}

// TestFirstWritesOfAReignAreItsOwn: power fails right after the first write of a reign was acknowledged. What comes back must
// say that it was written in this reign, or a member that has less of it would be taken for the best (S5).
func TestFirstWritesOfAReignAreItsOwn(t *testing.T) {
	d := &darkness{t: t, r: rand.New(rand.NewPCG(*powerSeed, 2))}
	ca := pki.New(t)
	p := preparePod(t, ca, "a", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
	p.power = filepath.Join(t.TempDir(), "copy")
	d.pods[0] = p
	for term := member.Term(1); term <= 4; term++ {
		d.start(0)
		l := d.leaders[0]
		mustBe[member.Adopted](t, l.ask(member.Adopt{Order: l.order(term)}))
		c := p.client()
		promote(l, term, roster(1, "a"))
		for end := time.Now().Add(patience); c.do("SET", "k", fmt.Sprint(term)) != "OK"; {
			if time.Now().After(end) {
				t.Fatal("not writable")
			}
		}
		p.cut()
		d.start(0)
		if r := d.leaders[0].report(); r.Data.Position().Term != term || !r.Data.Whole {
			t.Errorf("written in term %d, and back with %+v", term, r.Data)
		}
		p.cut()
	}
}

// found starts the set: the first member is its master.
func (d *darkness) found(policy string) {
	ca := pki.New(d.t)
	for i, name := range []string{"a", "b"} {
		d.pods[i] = preparePod(d.t, ca, name, "--appendonly", "yes", "--appendfsync", policy, "--save", "", "--enable-debug-command", "yes", "--repl-backlog-size", "1mb")
		d.pods[i].power = filepath.Join(d.t.TempDir(), "copy")
		d.start(i)
	}
	d.elect()
	d.settle()
}

func (d *darkness) start(i int) {
	p := d.pods[i]
	p.seed = d.r.Uint64()
	before := member.Incarnation("")
	if d.leaders[i] != nil {
		before = d.leaders[i].inc()
	}
	p.start()
	d.leaders[i] = p.meet(before)
}

// elect does what the operator does: a new term that all adopt, the best of them as its master.
func (d *darkness) elect() {
	d.t.Helper()
	d.term++
	var data [2]member.Data
	for i, l := range d.leaders {
		data[i] = mustBe[member.Adopted](d.t, l.ask(member.Adopt{Order: l.order(d.term)})).Data
		if d.acked > 0 && d.r.IntN(5) == 0 { // what it answered for it must not forget
			d.pods[i].cut()
			d.start(i)
			d.returned(i, true)
			l = d.leaders[i]
			data[i] = mustBe[member.Adopted](d.t, l.ask(member.Adopt{Order: l.order(d.term)})).Data
		}
	}
	if d.k > 0 && !d.loses && d.term > 1 && !data[0].Whole && !data[1].Whole {
		d.t.Fatalf("nobody is whole: %+v (S6)", data)
	}
	d.master = d.best(data)
	m, r := d.leaders[d.master], d.leaders[1-d.master]
	d.version++
	rosters := member.Rosters{New: member.Roster{Version: d.version, Voters: []member.Voter{"uid-a", "uid-b"}, K: d.k}}
	mustBe[member.Done](d.t, m.ask(member.Promote{Order: m.order(d.term), Voter: m.hello.Member.Voter, Rosters: rosters, ReplID: fmt.Sprintf("%040d", d.term), Lease: 2 * time.Second}))
	mustBe[member.Done](d.t, r.ask(member.Follow{Order: r.order(d.term), Upstream: m.upstream(), Master: m.inc(), MasterPod: m.hello.Member.Voter}))
	had := data[1-d.master]
	end, related := had.History.Common(had.Offset, data[d.master].History, data[d.master].Offset)
	d.joined(r, related && end == had.Offset && !had.Empty())
}

// best is the furthest in the latest reign (S5).
func (d *darkness) best(data [2]member.Data) int {
	if data[d.master].Position().Less(data[1-d.master].Position()) {
		return 1 - d.master
	}
	return d.master
}

// joined waits until the replica follows, by a partial sync where what it has is the beginning of what the master has.
func (d *darkness) joined(r *leader, prefix bool) {
	d.t.Helper()
	r.eventually("in sync", func(r member.Report) bool { return r.Link != nil && r.Link.InSync })
	switch n := r.report().FullSyncs; {
	case n == 0:
		d.partial++
	case n > 1 || prefix:
		d.t.Fatalf("%s loaded %d full syncs", r.p.name, n)
	default:
		d.full++
	}
}

// settle waits until both have everything, durably, and compares them.
func (d *darkness) settle() {
	d.t.Helper()
	m, r := d.leaders[d.master], d.leaders[1-d.master]
	m.eventually("writable", func(r member.Report) bool { return r.Writable })
	c := m.p.client()
	defer c.nc.Close()
	if got := c.do("WAIT", "1", "10000"); got != "(integer) 1" {
		d.t.Fatalf("WAIT: %s", got)
	}
	for _, l := range []*leader{m, r} {
		mustBe[member.Done](d.t, l.ask(member.Save{Order: l.order(d.term)}))
	}
	rc := r.p.client()
	defer rc.nc.Close()
	var seen [2]string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		seen = [2]string{c.do("DEBUG", "DIGEST"), rc.do("DEBUG", "DIGEST")}
		if seen[0] == seen[1] {
			break
		}
	}
	if seen[0] != seen[1] || strings.Contains(seen[0], "ERR") {
		d.t.Fatalf("the digests are %v", seen)
	}
	held := d.holds(d.master, "settled")
	if held < d.floor || held < d.acked && !d.loses {
		d.t.Fatalf("%d writes are left; %d were saved, %d acknowledged", held, d.floor, d.acked)
	}
	d.lost += max(0, d.acked-held)
	d.floor, d.acked, d.sent = held, held, held
}

// holds is how many writes a member has. Each is there as a whole, and after all before it.
func (d *darkness) holds(i int, when string) int {
	d.t.Helper()
	c := d.pods[i].client()
	defer c.nc.Close()
	got := c.do("EVAL_RO", "return {redis.call('GET', 'n') or '0', redis.call('DBSIZE')}", "0")
	var n, size int
	if _, err := fmt.Sscanf(got, `*["%d" (integer) %d]`, &n, &size); err != nil {
		d.t.Fatalf("%s, %s: %s", d.pods[i].name, when, got)
	}
	if n > 0 && size != n+1 || n == 0 && size != 0 {
		d.t.Fatalf("%s, %s: the counter is %d beside %d keys", d.pods[i].name, when, n, size)
	}
	return n
}

// write goes on until a write fails.
func (d *darkness) write(c *client) {
	for {
		d.sent++
		script := "redis.call('SET', 'key:' .. redis.call('INCR', 'n'), ARGV[1]) return redis.call('GET', 'n')"
		if got := c.do("EVAL", script, "1", "n", strings.Repeat("v", d.sent%500)); got != fmt.Sprintf("\"%d\"", d.sent) {
			return
		}
		d.acked = d.sent
	}
}

// round is one loss of power while clients write, and what comes after it.
func (d *darkness) round(n int) {
	d.t.Helper()
	c, written := d.pods[d.master].client(), make(chan struct{})
	go func() {
		defer close(written)
		d.write(c)
	}()
	moment := func() { time.Sleep(time.Duration(d.r.IntN(60)) * time.Millisecond) }
	moment()
	for i := range d.pods {
		if d.r.IntN(3) == 0 {
			other := d.pods[i].client()
			other.do("BGREWRITEAOF")
			other.nc.Close()
			moment()
		}
	}
	victims := pickVictims(d.r, d.master)
	for _, i := range victims {
		d.pods[i].cut()
	}
	c.nc.Close() // or the writer waits for the replica
	<-written
	d.t.Logf("round %d, term %d: %d writes acknowledged, %d sent, the master is %s, %v lose power", n, d.term, d.acked, d.sent, d.pods[d.master].name, victims)
	d.loses = false
	for _, i := range victims {
		d.start(i)
		d.returned(i, len(victims) == 2)
	}
	if len(victims) == 1 && victims[0] != d.master {
		d.joined(d.leaders[victims[0]], true) // by itself: it has its term
	} else {
		d.elect()
	}
	d.settle()
}

// pickVictims draws who loses power, in this order.
func pickVictims(r *rand.Rand, master int) []int {
	return [][]int{{master}, {1 - master}, {master, 1 - master}, {1 - master, master}}[r.IntN(4)]
}

// returned looks at a member after its power came back, before anybody told it anything.
func (d *darkness) returned(i int, both bool) {
	d.t.Helper()
	l, name := d.leaders[i], d.pods[i].name
	r := l.report()
	if r.Writable || r.Role == member.RoleMaster || i == d.master && r.Role != member.RoleParked {
		d.t.Fatalf("%s comes back as %+v (S3)", name, r)
	}
	if r.Term != d.term {
		d.t.Fatalf("%s comes back with term %d of %d", name, r.Term, d.term)
	}
	held := d.holds(i, "back")
	if held < d.floor || held > d.sent {
		d.t.Fatalf("%s comes back with %d writes; %d were saved and %d sent", name, held, d.floor, d.sent)
	}
	knows := d.acked // what it must have to be whole
	if i != d.master && d.k == 0 {
		knows = d.floor
	}
	if r.Data.Whole && held < knows {
		d.t.Fatalf("%s calls itself whole with %d of %d writes (rule 4)", name, held, knows)
	}
	if d.always && (!r.Data.Whole || held < knows) {
		d.t.Fatalf("%s comes back with %d of %d writes, whole: %v, although its file is always synced", name, held, knows, r.Data.Whole)
	}
	if !d.always && (both || i == d.master && d.k == 0) {
		d.loses = true
	}
}

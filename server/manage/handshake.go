package manage

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// The functions here belong to the replication links. All but Offer may be called with the engine's lock held.

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("manage: " + err.Error()) // plain structs of our own
	}
	return base64.StdEncoding.EncodeToString(text)
}

func decode(word string, into any) error {
	text, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// Hello is the argument of REPLCONF MEMBER.
func (d *Driver) Hello() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encode(d.m.Request(d.dataLocked(d.m.Whole())))
}

// Offer judges an upstream's answer (S2): refusal is "" when it is accepted. What would be lost by it is set aside first,
// so it writes a file now and then: the engine's lock must not be held.
func (d *Driver) Offer(answer string) (refusal string) {
	var o fence.SyncOffer
	if err := decode(answer, &o); err != nil {
		return "the upstream's answer cannot be read: " + err.Error()
	}
	d.mu.Lock()
	own := d.dataLocked(d.m.Whole())
	v := d.m.MayLoad(own, o)
	d.mu.Unlock()
	if v.Sync != fence.Refuse && v.SetAside { // rule 11: before the data gives way
		if err := d.giveWay(own, v); err != nil {
			return err.Error()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if v.SetAside { // an order may have come meanwhile
		v = d.m.MayLoad(d.dataLocked(d.m.Whole()), o)
	}
	if v.Sync == fence.Refuse {
		d.noteTrip(v)
		return string(v.Code) + " " + v.Why
	}
	d.offer, d.offered = &o, d.roles
	return ""
}

func (d *Driver) noteTrip(v fence.Verdict) {
	if v.Code == member.RefusedGuard {
		d.trips.Add(1)
	}
}

// Admit judges a replica's REPLCONF MEMBER (S2): the answer, or a refusal "<code> <why>".
func (d *Driver) Admit(hello string) (answer, refusal string) {
	var q fence.SyncRequest
	if err := decode(hello, &q); err != nil {
		return "", string(member.RefusedInvalid) + " the request cannot be read: " + err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rising { // the history still lacks this reign: a replica that took it would be related to nobody for ever (S2)
		return "", string(member.RefusedRole) + " the reign is only beginning: try again"
	}
	own := d.dataLocked(d.m.Whole())
	v := d.m.MayFeed(own, q)
	if v.Sync == fence.Refuse {
		d.noteTrip(v)
		return "", string(v.Code) + " " + v.Why
	}
	return encode(d.m.Offer(own)), ""
}

// Joined tells that the link is in the stream: the data is on the upstream's line, whose history it takes. The lock is held
// under which that happened, so that no answer to an order falls between data and history.
func (d *Driver) Joined(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if full {
		d.loads++
	}
	if d.offer == nil {
		return // an upstream outside the set: there is nothing to vouch for
	}
	d.history = d.offer.Data.History
	d.catchUp = -1
	if d.offered == d.roles {
		d.m.Joined()
		if d.offer.Master {
			d.catchUp = d.offer.Data.Offset
		}
	}
	d.offer = nil
	d.look()
	d.changed()
}

// Lost tells that the data was given up in place: its history is nobody's now, and it is whole no more. The lock is held
// under which that happened.
func (d *Driver) Lost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history, d.catchUp = nil, -1
	d.m.Lost()
	d.look()
	d.changed()
}

// AckWords are the words behind REPLCONF ACK <offset>: the own voucher and those of the own replicas. For silent nothing has come
// from the upstream, so nobody appended what is vouched for after that.
func (d *Driver) AckWords(offset int64, silent time.Duration) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var words []string
	if v, ok := d.m.Voucher(d.clock()-silent, offset); ok {
		words = appendVoucher(words, v)
	}
	for _, v := range d.relayed {
		words = appendVoucher(words, v)
	}
	return words
}

// Synchronous is how many voters must hold what a reply of this member as master reflects (S6).
func (d *Driver) Synchronous() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, _ := d.m.Synchronous(d.clock())
	return k
}

func appendVoucher(words []string, v fence.Voucher) []string {
	return append(words, "VOUCH", string(v.Voter), string(v.Incarnation), strconv.FormatUint(uint64(v.Term), 10), strconv.FormatInt(v.Offset, 10))
}

// maxRelayed bounds what a replica in a chain remembers of those behind it.
const maxRelayed = 64

// Vouched takes the words that a replica sent behind its REPLCONF ACK: a master counts them, a replica
// relays them with its next acknowledgement.
func (d *Driver) Vouched(words []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	for len(words) >= 5 && words[0] == "VOUCH" {
		v, err := parseVoucher(words[1:5])
		words = words[5:]
		if err != nil {
			d.o.Logf("a voucher cannot be read: %v", err)
			continue
		}
		if d.m.Role() == member.RoleMaster {
			d.m.Acked(d.clock(), v)
		} else if _, known := d.relayed[v.Voter]; known || len(d.relayed) < maxRelayed {
			d.relayed[v.Voter] = v
		}
	}
	d.publish()
}

func parseVoucher(w []string) (fence.Voucher, error) {
	term, err := strconv.ParseUint(w[2], 10, 64)
	if err != nil {
		return fence.Voucher{}, fmt.Errorf("term %q", w[2])
	}
	offset, err := strconv.ParseInt(w[3], 10, 64)
	if err != nil {
		return fence.Voucher{}, fmt.Errorf("offset %q", w[3])
	}
	return fence.Voucher{Voter: member.Voter(w[0]), Incarnation: member.Incarnation(w[1]), Term: member.Term(term), Offset: offset}, nil
}

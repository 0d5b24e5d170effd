package status

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/plan"
)

// fill gives every field below v a value of its own, so that one forgotten in a conversion shows.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		panic("fill: " + v.Kind().String())
	}
}

// TestTheTermSurvivesTheResource: what the plan records it reads back, every field of it.
func TestTheTermSurvivesTheResource(t *testing.T) {
	var want plan.TermRecord
	n := 0
	fill(reflect.ValueOf(&want).Elem(), &n)
	data, err := json.Marshal(writeTerm(want))
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.TermRecord
	if err := json.Unmarshal(data, &stored); err != nil {
		t.Fatal(err)
	}
	if got := readTerm(stored); !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %+v\nread     %+v\nas %s", want, got, data)
	}
	if got := readTerm(*writeTerm(plan.TermRecord{Number: 1})); !reflect.DeepEqual(got, plan.TermRecord{Number: 1}) {
		t.Errorf("a bare record became %+v", got)
	}
}

func newSet(t *testing.T) (client.Client, *v1alpha1.ReplicaSet) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	rs := &v1alpha1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop"}}
	rs.Spec.Members = 3
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(rs).WithObjects(rs).Build()
	return c, get(t, c)
}

func get(t *testing.T, c client.Client) *v1alpha1.ReplicaSet {
	t.Helper()
	var rs v1alpha1.ReplicaSet
	if err := c.Get(context.Background(), types.NamespacedName{Namespace: "shop", Name: "orders"}, &rs); err != nil {
		t.Fatal(err)
	}
	return &rs
}

var facts = Facts{Image: "img", Pods: map[string]types.UID{"orders-0": "u0"}, Now: time.Unix(1000, 0)}

func decision() plan.Decision {
	return plan.Decision{
		Members:    []plan.MemberStatus{{Name: "orders-0", Sync: plan.InSync}, {Name: "orders-1", Sync: plan.Down, Reason: "ImagePullBackOff: no such image"}},
		Conditions: []plan.Condition{{Type: plan.ConditionReady, True: true, Reason: "MasterWritable"}, {Type: plan.ConditionStalled, True: true, Reason: "Waiting", Message: "for an image"}},
	}
}

// TestRecordIsCompareAndSet is rule 7: a record on anything but the version that was read is not written.
func TestRecordIsCompareAndSet(t *testing.T) {
	c, rs := newSet(t)
	w := NewWriter(c, rs)
	ctx := context.Background()
	next := plan.TermRecord{Number: 1, Master: &plan.Reign{Term: 1, Name: "orders-0"}}
	if err := w.Record(ctx, "some-older-version", next, decision(), facts); err == nil {
		t.Fatal("recorded on an older version")
	}
	other := get(t, c)
	other.Status.Image = "changed in between"
	if err := c.Status().Update(ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := w.Record(ctx, rs.ResourceVersion, next, decision(), facts); err == nil {
		t.Fatal("recorded over a change made in between")
	}
	if get(t, c).Status.Term != nil {
		t.Fatal("a refused record was written")
	}
	again := get(t, c)
	w = NewWriter(c, again)
	if err := w.Record(ctx, again.ResourceVersion, next, decision(), facts); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c).Status; got.Master != "orders-0" || got.Term.Number != 1 || got.InSync != "1/3" || got.Image != "img" {
		t.Errorf("status after the record: %+v", got)
	}
}

// TestIdleWritesNothing: the second pass with the same outcome leaves the resource alone, and the term
// is kept by a pass that records none.
func TestIdleWritesNothing(t *testing.T) {
	c, rs := newSet(t)
	ctx := context.Background()
	w := NewWriter(c, rs)
	if err := w.Record(ctx, rs.ResourceVersion, plan.TermRecord{Number: 7}, decision(), facts); err != nil {
		t.Fatal(err)
	}
	notices, err := w.Finish(ctx, decision(), facts)
	if err != nil || len(notices) != 0 {
		t.Fatalf("%v %v", notices, err)
	}
	before := get(t, c).ResourceVersion
	later := facts
	later.Now = later.Now.Add(time.Hour)
	if _, err := NewWriter(c, get(t, c)).Finish(ctx, decision(), later); err != nil {
		t.Fatal(err)
	}
	if after := get(t, c); after.ResourceVersion != before || after.Status.Term.Number != 7 {
		t.Errorf("an idle pass wrote: %s then %s, term %+v", before, after.ResourceVersion, after.Status.Term)
	}
}

func TestPhaseAndNotices(t *testing.T) {
	c, rs := newSet(t)
	notices, err := NewWriter(c, rs).Finish(context.Background(), decision(), facts)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, n := range notices {
		reasons[n.Reason] = n.Note
	}
	if !strings.Contains(reasons["MemberNotRunning"], "orders-1: ImagePullBackOff") || reasons["Stalled"] != "for an image" {
		t.Errorf("notices %v", notices)
	}
	if got := get(t, c).Status.Phase; got != "Stalled" {
		t.Errorf("phase %s", got)
	}
	f := facts
	f.Refusal = "no such Secret"
	if _, err := NewWriter(c, get(t, c)).Finish(context.Background(), decision(), f); err != nil {
		t.Fatal(err)
	}
	cond := meta.FindStatusCondition(get(t, c).Status.Conditions, plan.ConditionStalled)
	if cond.Reason != "CannotApply" || cond.Message != "no such Secret" {
		t.Errorf("condition %+v", cond)
	}
	calm := plan.Decision{Conditions: []plan.Condition{{Type: plan.ConditionReady, True: true, Reason: "MasterWritable"}, {Type: plan.ConditionStalled, Reason: "Moving"}}}
	if _, err := NewWriter(c, get(t, c)).Finish(context.Background(), calm, facts); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c).Status.Phase; got != "Ready" {
		t.Errorf("phase %s", got)
	}
}

// TestHistoryKeepsTimes: old entries keep the time they were made with; ten stay, newest first.
func TestHistoryKeepsTimes(t *testing.T) {
	var known []v1alpha1.Transition
	var told []plan.Failover
	for i := range 12 {
		told = append(told, plan.Failover{Term: member.Term(i + 1), To: "m"})
		known = history(known, told, time.Unix(int64(100*i), 0))
	}
	if len(known) != 10 || known[0].Term != 12 || known[0].At.Unix() != 1100 || known[9].At.Unix() != 200 {
		t.Errorf("%+v", known)
	}
}

// TestDurationOfAFailover: from the record that ended the old reign until the new master accepts writes.
func TestDurationOfAFailover(t *testing.T) {
	c, _ := newSet(t)
	ctx := context.Background()
	at := func(ms int) Facts {
		f := facts
		f.Now = facts.Now.Add(time.Duration(ms) * time.Millisecond)
		return f
	}
	record := func(ms int, next plan.TermRecord, d plan.Decision) {
		t.Helper()
		rs := get(t, c)
		if err := NewWriter(c, rs).Record(ctx, rs.ResourceVersion, next, d, at(ms)); err != nil {
			t.Fatal(err)
		}
	}
	told := func(ready bool) plan.Decision {
		return plan.Decision{Conditions: []plan.Condition{{Type: plan.ConditionReady, True: ready, Reason: "x"}},
			Status: plan.Status{History: []plan.Failover{{Term: 2, From: "orders-0", To: "orders-1"}}}}
	}
	master := &plan.Reign{Term: 1, Name: "orders-0"}
	record(0, plan.TermRecord{Number: 1, Master: master}, plan.Decision{})
	record(1000, plan.TermRecord{Number: 2, Unfenced: master}, plan.Decision{})
	record(1100, plan.TermRecord{Number: 2, Unfenced: master, Gone: []member.Voter{"u0"}}, plan.Decision{})
	record(1200, plan.TermRecord{Number: 2, Master: &plan.Reign{Term: 2, Name: "orders-1"}}, told(false))
	for _, step := range []struct {
		ms    int
		ready bool
		want  string
	}{{1250, false, ""}, {1321, true, "321ms"}, {9000, true, "321ms"}, {9500, false, "321ms"}} {
		if _, err := NewWriter(c, get(t, c)).Finish(ctx, told(step.ready), at(step.ms)); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c).Status.History[0].Duration; got != step.want {
			t.Errorf("after %d ms: %q, want %q", step.ms, got, step.want)
		}
	}
}

// TestEveryFileSetAsideIsNews: a second file is told too; the same one is told once.
func TestEveryFileSetAsideIsNews(t *testing.T) {
	c, _ := newSet(t)
	for i, step := range []struct {
		files string
		told  int
	}{{"orders-0 a.aof", 1}, {"orders-0 a.aof", 0}, {"orders-0 a.aof, orders-1 b.rdb", 1}, {"", 0}} {
		d := plan.Decision{Conditions: []plan.Condition{{Type: plan.ConditionDataSetAside, True: step.files != "", Reason: "FilesKept", Message: step.files}}}
		notices, err := NewWriter(c, get(t, c)).Finish(context.Background(), d, facts)
		if err != nil || len(notices) != step.told {
			t.Errorf("step %d: %v %v", i, notices, err)
		}
	}
}

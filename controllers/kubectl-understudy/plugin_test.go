package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func cluster(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(now.Add(-90 * time.Second))
	rs := &v1alpha1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}}
	rs.Spec.Members = 3
	rs.Status = v1alpha1.ReplicaSetStatus{Phase: "Ready", Master: "orders-0", InSync: "2/3", Image: "understudy/server:v1",
		Term: &v1alpha1.TermRecord{Number: 4},
		Members: []v1alpha1.MemberStatus{{Name: "orders-0", Role: "Master", Sync: v1alpha1.InSync, Persisted: true},
			{Name: "orders-1", Role: "Replica", Sync: v1alpha1.InSync, Upstream: "orders-0"},
			{Name: "orders-2", Sync: v1alpha1.Down, Reason: "Unschedulable: 0/1 nodes are available"}},
		Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "MasterWritable", Message: "orders-0 is master", LastTransitionTime: at}},
		History:    []v1alpha1.Transition{{Term: 4, From: "orders-1", To: "orders-0", Reason: "orders-1 died", At: &at}}}
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(rs).WithObjects(rs).Build()
}

func TestStatus(t *testing.T) {
	var out bytes.Buffer
	if err := status(context.Background(), cluster(t), types.NamespacedName{Namespace: "shop", Name: "orders"}, &out, now); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("REWRITE") != "" {
		if err := os.WriteFile("testdata/status.txt", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("differs from testdata/status.txt (REWRITE=1):\n%s", out.String())
	}
}

// TestPromote plays the operator: it does what spec.master asks.
func TestPromote(t *testing.T) {
	c := cluster(t)
	dial := func(options) (client.Client, string, error) { return c, "shop", nil }
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if rs, err := get(ctx, c, key); err == nil && rs.Spec.Master != "" && rs.Status.Master != rs.Spec.Master {
				rs.Status.Master, rs.Status.Term.Number = rs.Spec.Master, rs.Status.Term.Number+1
				_ = c.Status().Update(ctx, rs)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	var out bytes.Buffer
	if err := run(ctx, []string{"promote", "orders", "orders-1", "-n", "shop"}, &out, dial); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "orders-1 is master of term 5") {
		t.Errorf("said %q", out.String())
	}
	for _, args := range []string{"promote orders other-1", "promote orders orders-3", "promote orders", "demote orders", "status nothing"} {
		if err := run(ctx, strings.Fields(args), &out, dial); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	for _, args := range []string{"-n shop promote orders orders-1 --timeout 3s", "promote -n shop orders --timeout=3s orders-1"} {
		words, o, err := parse(strings.Fields(args))
		if err != nil || strings.Join(words, " ") != "promote orders orders-1" || o.namespace != "shop" || o.timeout != 3*time.Second {
			t.Errorf("%q: %v %+v %v", args, words, o, err)
		}
	}
	var out bytes.Buffer
	if err := run(context.Background(), nil, &out, nil); err != nil || !strings.Contains(out.String(), "Usage") {
		t.Errorf("%v %q", err, out.String())
	}
}

package resources

import (
	"bytes"
	"crypto/x509"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

var env = Env{Image: "understudy/server:v1", Routing: RoutingSlice, ClusterDomain: "cluster.local", OperatorLabels: map[string]string{"app.kubernetes.io/name": "understudy"}}

// sample is a set with the defaults of the CRD.
func sample(change ...func(*v1alpha1.ReplicaSet)) *v1alpha1.ReplicaSet {
	rs := &v1alpha1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop", UID: "set-uid"}}
	rs.Spec.Members = 3
	rs.Spec.Persistence = v1alpha1.Persistence{Mode: v1alpha1.PersistenceRDB, By: v1alpha1.PersistByAll, Save: "3600 1",
		Storage: v1alpha1.Storage{Size: resource.MustParse("1Gi"), WhenDeleted: v1alpha1.Retain}}
	rs.Spec.Replication = v1alpha1.Replication{BacklogSize: resource.MustParse("64Mi"), DiskBacklogSize: resource.MustParse("1Gi"), MinReplicasMaxLag: metav1.Duration{Duration: 10 * time.Second}}
	rs.Spec.Template.ImagePullPolicy = corev1.PullIfNotPresent
	rs.Spec.Template.TerminationGracePeriodSeconds = ptr(int64(60))
	for _, c := range change {
		c(rs)
	}
	return rs
}

func memoryOnly(rs *v1alpha1.ReplicaSet) { rs.Spec.Persistence.Mode = v1alpha1.PersistenceNone }

func appendOnly(rs *v1alpha1.ReplicaSet) {
	rs.Spec.Persistence.Mode = v1alpha1.PersistenceAOF
	rs.Spec.Config = map[string]v1alpha1.ConfigValue{"appendfsync": "always"}
}

func full(rs *v1alpha1.ReplicaSet) {
	rs.Spec.Template.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	rs.Spec.Config = map[string]v1alpha1.ConfigValue{"maxmemory-policy": "allkeys-lru", "databases": "4"}
	rs.Spec.RenameCommands = map[string]v1alpha1.CommandName{"FLUSHALL": "", "keys": "list-keys"}
	rs.Spec.Persistence.Storage.WhenDeleted = v1alpha1.Delete
	rs.Spec.Persistence.Storage.ClassName = "fast"
	rs.Spec.Template.Labels = map[string]string{"team": "shop"}
	rs.Spec.Auth.SecretName = "shop-password"
}

func everything(rs *v1alpha1.ReplicaSet, env Env) []any {
	var out []any
	for _, o := range Shared(rs, env) {
		out = append(out, o)
	}
	if c := Claim(rs, "orders-0"); c != nil {
		out = append(out, c)
	}
	out = append(out, Pod(rs, env, "orders-0"))
	if env.Routing == RoutingSlice {
		out = append(out, Slice(rs, ServiceName(rs.Name), []Endpoint{{Name: "orders-1", UID: "u1", IP: "10.0.0.2", Node: "n1", Primary: true}}), Slice(rs, ReadServiceName(rs.Name), nil))
	}
	return out
}

func TestGolden(t *testing.T) {
	labelled := env
	labelled.Routing = RoutingLabel
	for name, c := range map[string]struct {
		rs  *v1alpha1.ReplicaSet
		env Env
	}{"default": {sample(), env}, "memory-only": {sample(memoryOnly), env}, "append-only": {sample(appendOnly), env}, "full": {sample(full), env}, "label-routing": {sample(memoryOnly), labelled}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for _, o := range everything(c.rs, c.env) {
				data, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString("---\n")
				b.Write(data)
			}
			golden(t, name+".yaml", b.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("REWRITE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is built now; run with REWRITE=1 and read the diff", path)
	}
}

// TestS4RestartPolicy: where a master may be memory-only the kubelet must not restart it.
func TestS4RestartPolicy(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*v1alpha1.ReplicaSet)
		want   corev1.RestartPolicy
	}{
		"all persist":      {func(*v1alpha1.ReplicaSet) {}, corev1.RestartPolicyAlways},
		"nobody persists":  {memoryOnly, corev1.RestartPolicyNever},
		"replicas persist": {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Persistence.By = v1alpha1.PersistByReplicas }, corev1.RestartPolicyNever},
	} {
		if got := Pod(sample(c.change), env, "orders-0").Spec.RestartPolicy; got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// TestThePasswordIsOnlyInItsSecret greps everything else that is built for it.
func TestThePasswordIsOnlyInItsSecret(t *testing.T) {
	rs := sample(full)
	s, err := AuthSecret(rs, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	password := string(s.Data[KeyPassword])
	if len(password) != 32 {
		t.Fatalf("password of %d characters", len(password))
	}
	for _, o := range append(everything(rs, env), everything(sample(memoryOnly), env)...) {
		data, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), password) {
			t.Errorf("%T holds the password", o)
		}
		if strings.Contains(string(data), "requirepass") || strings.Contains(string(data), "masterauth") {
			t.Errorf("%T sets a password by directive", o)
		}
	}
	for _, e := range Pod(rs, env, "orders-0").Spec.Containers[0].Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			t.Errorf("environment variable %s comes from a Secret: mount it", e.Name)
		}
	}
}

// TestRevisionCoversWhatNeedsARestart and nothing else: a needless rollout is an outage of its own.
func TestRevisionCoversWhatNeedsARestart(t *testing.T) {
	base := Revision(sample(), env)
	for what, c := range map[string]struct {
		change  func(*v1alpha1.ReplicaSet)
		restart bool
	}{
		"nothing":                {func(*v1alpha1.ReplicaSet) {}, false},
		"a changeable directive": {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Config = map[string]v1alpha1.ConfigValue{"hz": "20"} }, false},
		"a fixed directive":      {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Config = map[string]v1alpha1.ConfigValue{"databases": "4"} }, true},
		"the backlog":            {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Replication.BacklogSize = resource.MustParse("1Mi") }, false},
		"members":                {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Members = 5 }, false},
		"a wish for a master":    {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Master = "orders-2" }, false},
		"tolerations":            {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Template.Tolerations = []corev1.Toleration{{Key: "x"}} }, false},
		"resources": {func(rs *v1alpha1.ReplicaSet) {
			rs.Spec.Template.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		}, true},
		"a renamed command":        {func(rs *v1alpha1.ReplicaSet) { rs.Spec.RenameCommands = map[string]v1alpha1.CommandName{"KEYS": ""} }, true},
		"persistence":              {memoryOnly, true},
		"a grown claim":            {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Persistence.Storage.Size = resource.MustParse("2Gi") }, false},
		"another password Secret":  {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Auth.SecretName = "other" }, true},
		"labels given by the user": {func(rs *v1alpha1.ReplicaSet) { rs.Spec.Template.Labels = map[string]string{"a": "b"} }, false},
	} {
		if got := Revision(sample(c.change), env) != base; got != c.restart {
			t.Errorf("%s: restart %v, want %v", what, got, c.restart)
		}
	}
	newer := env
	newer.Image = "understudy/server:v2"
	if Revision(sample(), newer) == base {
		t.Error("another image needs a restart")
	}
}

func TestLongestNamesFit(t *testing.T) {
	rs := sample()
	rs.Name = strings.Repeat("a", 52)
	member := MemberName(rs.Name, 14)
	for _, name := range []string{member, HeadlessName(rs.Name), ReadServiceName(rs.Name), ConfigName(rs.Name), AuthoritySecretName(rs.Name), TLSSecretName(member)} {
		if len(name) > 63 {
			t.Errorf("%s has %d characters: it is a DNS label or a label value", name, len(name))
		}
	}
	a, err := NewAuthority("u", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Member(rs, env, member, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestMemberIndex(t *testing.T) {
	for name, want := range map[string]int{"orders-0": 0, "orders-14": 14, "orders-01": -1, "orders-": -1, "orders--1": -1, "other-1": -1, "orders-1-2": -1} {
		i, ok := MemberIndex("orders", name)
		if !ok {
			i = -1
		}
		if i != want {
			t.Errorf("%s: %d, want %d", name, i, want)
		}
	}
}

func TestCertificates(t *testing.T) {
	rs, now := sample(), time.Now()
	a, err := NewAuthority(string(rs.UID), now)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Member(rs, env, "orders-0", now)
	if err != nil {
		t.Fatal(err)
	}
	data := TLSSecret(rs, "orders-0", p, a.Pair.CertPEM).Data
	if ok, why := a.MemberCertOK(data, rs, env, "orders-0", now); !ok {
		t.Fatalf("a fresh certificate is refused: %s", why)
	}
	cert, err := parseCert(p.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "orders-0.orders-members.shop.svc", KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Error(err)
		}
	}
	if ok, why := a.MemberCertOK(data, rs, env, "orders-1", now); ok || !strings.Contains(why, "another member") {
		t.Errorf("another member's certificate: %v %s", ok, why)
	}
	if ok, why := a.MemberCertOK(data, rs, env, "orders-0", now.Add(memberLife*3/4)); ok || !strings.Contains(why, "renewal") {
		t.Errorf("an old certificate: %v %s", ok, why)
	}
	foreign, err := NewAuthority("other", now)
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := foreign.MemberCertOK(data, rs, env, "orders-0", now); ok || !strings.Contains(why, "another authority") {
		t.Errorf("a foreign certificate: %v %s", ok, why)
	}
	again, err := LoadAuthority(string(rs.UID), KeyPair{CertPEM: a.Pair.CertPEM, KeyPEM: a.Pair.KeyPEM})
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := again.MemberCertOK(data, rs, env, "orders-0", now); !ok {
		t.Errorf("after a restart of the operator: %s", why)
	}
	if _, err := LoadAuthority("x", KeyPair{CertPEM: a.Pair.CertPEM, KeyPEM: foreign.Pair.KeyPEM}); err == nil {
		t.Error("a key that does not fit the certificate was taken")
	}
}

// TestServiceLeadsToThePortThatThePodHas: a pod that an earlier operator made has no primary port; its master is reached on
// the ordinary one until it has been replaced. Readers are never led to a port that leads to the master.
func TestServiceLeadsToThePortThatThePodHas(t *testing.T) {
	rs := sample()
	now := Pod(rs, env, "orders-0")
	before := now.DeepCopy()
	before.Spec.Containers[0].Ports = before.Spec.Containers[0].Ports[:1]
	if !HasPrimary(now) || HasPrimary(before) {
		t.Fatalf("the primary port is seen on the pod of now: %v, on that of before: %v", HasPrimary(now), HasPrimary(before))
	}
	for _, c := range []struct {
		service string
		primary bool
		want    int32
	}{{ServiceName(rs.Name), true, PortPrimary}, {ServiceName(rs.Name), false, PortRedis}, {ReadServiceName(rs.Name), true, PortRedis}} {
		s := Slice(rs, c.service, []Endpoint{{Name: "orders-0", IP: "10.0.0.1", Primary: c.primary}})
		if got := *s.Ports[0].Port; got != c.want {
			t.Errorf("%s to a pod with a primary port (%v): port %d, want %d", c.service, c.primary, got, c.want)
		}
	}
}

package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// Set is one replica set on the cluster.
type Set struct {
	Bed       *Bed
	Namespace string
	Name      string
}

const (
	redisPort     = 6379
	clientTimeout = 2 * time.Second
)

func (s Set) key() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
}

// Get reads the resource.
func (s Set) Get(ctx context.Context) (*v1alpha1.ReplicaSet, error) {
	var rs v1alpha1.ReplicaSet
	return &rs, s.Bed.Client.Get(ctx, s.key(), &rs)
}

// WaitReady waits until condition Ready is true for the newest spec, every member asked for is in sync, and the Services lead
// to them from this machine, too.
func (s Set) WaitReady(ctx context.Context) (*v1alpha1.ReplicaSet, error) {
	rs, err := s.Wait(ctx, "to become ready", func(rs *v1alpha1.ReplicaSet) bool {
		ready := meta.FindStatusCondition(rs.Status.Conditions, "Ready")
		return ready != nil && ready.Status == "True" && ready.ObservedGeneration == rs.Generation &&
			rs.Status.InSync == fmt.Sprintf("%d/%d", rs.Spec.Members, rs.Spec.Members)
	})
	if err != nil || !s.Bed.Ours() {
		return rs, err
	}
	services := []string{""}
	if rs.Spec.Members > 1 {
		services = append(services, "-ro")
	}
	for _, suffix := range services {
		if err := s.awaitService(ctx, suffix); err != nil {
			return rs, err
		}
	}
	return rs, nil
}

// proxyTime is what kube-proxy gets: it takes over a change of endpoints at once or up to a second after the one before.
const proxyTime = 5 * time.Second

func (s Set) awaitService(ctx context.Context, suffix string) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTime)
	defer cancel()
	for {
		conn, err := s.try(ctx, suffix)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the set is ready, but %v after that its Service %s%s does not answer: %w", proxyTime, s.Name, suffix, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// try dials once, not for long: a first packet that came before kube-proxy's rules has an entry in the kernel's table of
// connections that leads nowhere, and so have all that repeat it.
func (s Set) try(ctx context.Context, suffix string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTime/10)
	defer cancel()
	return s.Dial(suffix)(ctx)
}

// WaitMaster waits until a member other than the given one is master.
func (s Set) WaitMaster(ctx context.Context, not string) (*v1alpha1.ReplicaSet, error) {
	return s.Wait(ctx, "to have another master than "+not, func(rs *v1alpha1.ReplicaSet) bool {
		return rs.Status.Master != "" && rs.Status.Master != not
	})
}

// Wait waits until the resource is as wanted; when the context ends first, the error shows what it was like.
func (s Set) Wait(ctx context.Context, what string, ok func(*v1alpha1.ReplicaSet) bool) (*v1alpha1.ReplicaSet, error) {
	for {
		rs, err := s.Get(ctx)
		if err == nil && ok(rs) {
			return rs, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waited for %s %s: %w\n%s", s.key(), what, errors.Join(ctx.Err(), err), s.Describe())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Describe tells what a reader of a failure needs: the resource, its pods, its events. It has a context of its own, for
// the caller's has often ended.
func (s Set) Describe() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	for _, args := range [][]string{
		{"get", "replicasets.understudy.dev", s.Name, "-o", "yaml", "--show-managed-fields=false"},
		{"get", "pods,services,endpointslices,pvc", "-o", "wide"},
		{"get", "events.events.k8s.io", "--sort-by=.metadata.creationTimestamp"},
	} {
		out, err := s.Bed.Kubectl(ctx, append([]string{"-n", s.Namespace}, args...)...)
		if err != nil {
			out += err.Error()
		}
		fmt.Fprintf(&b, "--- kubectl %s\n%s\n", strings.Join(args, " "), out)
	}
	return b.String()
}

// Password reads the password of the set's clients.
func (s Set) Password(ctx context.Context) (string, error) {
	secret, err := s.authSecret(ctx)
	return string(secret.Data["password"]), err
}

// Rotate writes a new password into the set's Secret; the operator does the rest.
func (s Set) Rotate(ctx context.Context, password string) error {
	secret, err := s.authSecret(ctx)
	if err != nil {
		return err
	}
	secret.Data["password"] = []byte(password)
	return s.Bed.Client.Update(ctx, secret)
}

func (s Set) authSecret(ctx context.Context) (*corev1.Secret, error) {
	var secret corev1.Secret
	rs, err := s.Get(ctx)
	if err != nil {
		return &secret, err
	}
	name := rs.Spec.Auth.SecretName
	if name == "" {
		name = s.Name + "-auth"
	}
	return &secret, s.Bed.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: name}, &secret)
}

// RequestMaster asks for a planned switchover.
func (s Set) RequestMaster(ctx context.Context, member string) error {
	rs, err := s.Get(ctx)
	if err != nil {
		return err
	}
	before := rs.DeepCopy()
	rs.Spec.Master = member
	return s.Bed.Client.Patch(ctx, rs, client.MergeFrom(before))
}

// Dial connects to a Service of the set: "" is the read-write one, "-ro" the read-only one.
func (s Set) Dial(suffix string) respclient.Dial {
	if !s.Bed.Ours() {
		return s.Bed.forward(s.Namespace, "service/"+s.Name+suffix)
	}
	return func(ctx context.Context) (net.Conn, error) {
		var svc corev1.Service
		key := s.key()
		key.Name += suffix
		if err := s.Bed.Client.Get(ctx, key, &svc); err != nil {
			return nil, err
		}
		return dial(ctx, svc.Spec.ClusterIP)
	}
}

// DialMember connects to one member's pod, whatever its role.
func (s Set) DialMember(member string) respclient.Dial {
	if !s.Bed.Ours() {
		return s.Bed.forward(s.Namespace, "pod/"+member)
	}
	return func(ctx context.Context) (net.Conn, error) {
		pod, err := s.Pod(ctx, member)
		if err != nil {
			return nil, err
		}
		if pod.Status.PodIP == "" {
			return nil, fmt.Errorf("%s has no address yet", member)
		}
		return dial(ctx, pod.Status.PodIP)
	}
}

func dial(ctx context.Context, ip string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort(ip, fmt.Sprint(redisPort)))
}

// Pod reads a member's pod.
func (s Set) Pod(ctx context.Context, member string) (*corev1.Pod, error) {
	var pod corev1.Pod
	return &pod, s.Bed.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: member}, &pod)
}

// Connect opens an authenticated connection through the read-write Service.
func (s Set) Connect(ctx context.Context) (*respclient.Client, error) {
	return s.connect(ctx, s.Dial(""))
}

// ConnectMember opens an authenticated connection to one member.
func (s Set) ConnectMember(ctx context.Context, member string) (*respclient.Client, error) {
	return s.connect(ctx, s.DialMember(member))
}

// TryPassword opens a connection with a password of the caller's choice and closes it again.
func (s Set) TryPassword(ctx context.Context, password string) error {
	c, err := respclient.Connect(ctx, s.Dial(""), password, clientTimeout)
	if err != nil {
		return err
	}
	return c.Close()
}

func (s Set) connect(ctx context.Context, dial respclient.Dial) (*respclient.Client, error) {
	password, err := s.Password(ctx)
	if err != nil {
		return nil, err
	}
	return respclient.Connect(ctx, dial, password, clientTimeout)
}

package apply

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/plan"
	"github.com/understudy-db/understudy/controllers/resources"
)

// SecretsEvery is how often the Secrets of a set are looked at. They are read by name, not watched: a
// watch would let the operator read every Secret of the cluster. A change of the password is seen
// within this time, and sooner by the members, whose kubelets watch what they mount.
const SecretsEvery = 15 * time.Second

// Secrets keeps the Secrets of all sets: password, authority, members' certificates.
type Secrets struct {
	Client client.Client
	Live   client.Reader
	Clock  func() time.Duration
	// Now is the wall clock, for the lives of certificates.
	Now func() time.Time

	mu   sync.Mutex
	sets map[types.UID]*credentials
}

// credentials are what is known of one set.
type credentials struct {
	mu        sync.Mutex
	authority *resources.Authority
	operator  tls.Certificate
	issued    time.Time
	checked   time.Duration
	members   map[string]bool // whose certificate was fine at the last look
	authSeen  string          // resource version of the password Secret
}

// Ensure makes what is missing and tells how to dial the members. why is not empty when the set cannot
// start: a named password Secret is absent.
func (s *Secrets) Ensure(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, members []string) (creds memberclient.Credentials, events []plan.Event, why string, err error) {
	c := s.of(rs.UID)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.Clock()
	due := c.checked == 0 || now-c.checked >= SecretsEvery
	if due || c.authority == nil {
		if err := s.authority(ctx, rs, c); err != nil {
			return creds, nil, "", err
		}
		events, why, err = s.password(ctx, rs, c)
		if err != nil {
			return creds, events, "", err
		}
	}
	for _, name := range members {
		if !due && c.members[name] {
			continue
		}
		if err := s.member(ctx, rs, env, c, name); err != nil {
			return creds, events, "", err
		}
		c.members[name] = true
	}
	if due && why == "" {
		c.checked = now
	}
	if err := s.own(c); err != nil {
		return creds, events, "", err
	}
	return memberclient.Credentials{TLS: c.tls()}, events, why, nil
}

// AuthSeen is the resource version of the password Secret, for the pods' annotation.
func (s *Secrets) AuthSeen(uid types.UID) string {
	c := s.of(uid)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authSeen
}

// Forget drops a set.
func (s *Secrets) Forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sets, uid)
}

func (s *Secrets) of(uid types.UID) *credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil {
		s.sets = map[types.UID]*credentials{}
	}
	if s.sets[uid] == nil {
		s.sets[uid] = &credentials{members: map[string]bool{}}
	}
	return s.sets[uid]
}

func (c *credentials) tls() func(string) *tls.Config {
	pool, cert := c.authority.Pool(), c.operator
	return func(member string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{cert}, ServerName: member}
	}
}

// own renews the operator's certificate, which lives in memory only.
func (s *Secrets) own(c *credentials) error {
	now := s.Now()
	if !c.issued.IsZero() && now.Sub(c.issued) < 12*time.Hour {
		return nil
	}
	pair, err := c.authority.Operator(now)
	if err != nil {
		return err
	}
	if c.operator, err = tls.X509KeyPair(pair.CertPEM, pair.KeyPEM); err != nil {
		return err
	}
	c.issued = now
	return nil
}

// authority loads the set's authority or makes one. One that was replaced by hand, or is of a former
// set of this name, is taken out of use with all its certificates.
func (s *Secrets) authority(ctx context.Context, rs *v1alpha1.ReplicaSet, c *credentials) error {
	var live corev1.Secret
	key := types.NamespacedName{Namespace: rs.Namespace, Name: resources.AuthoritySecretName(rs.Name)}
	err := s.Live.Get(ctx, key, &live)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil && metav1.IsControlledBy(&live, rs) {
		pair := resources.KeyPair{CertPEM: live.Data[resources.KeyCert], KeyPEM: live.Data[resources.KeyKey]}
		if c.authority != nil && string(c.authority.Pair.CertPEM) == string(pair.CertPEM) {
			return nil
		}
		if a, err := resources.LoadAuthority(string(rs.UID), pair); err == nil {
			c.use(a)
			return nil
		}
	}
	a := c.authority
	if a == nil { // a deleted Secret gets the same authority back, so that nothing else changes
		if a, err = resources.NewAuthority(string(rs.UID), s.Now()); err != nil {
			return err
		}
	}
	if err := Put(ctx, s.Client, resources.AuthoritySecret(rs, a.Pair)); err != nil {
		return err
	}
	c.use(a)
	return nil
}

func (c *credentials) use(a *resources.Authority) {
	if c.authority == a {
		return
	}
	c.authority, c.issued, c.members = a, time.Time{}, map[string]bool{}
}

func (s *Secrets) member(ctx context.Context, rs *v1alpha1.ReplicaSet, env resources.Env, c *credentials, name string) error {
	var live corev1.Secret
	err := s.Live.Get(ctx, types.NamespacedName{Namespace: rs.Namespace, Name: resources.TLSSecretName(name)}, &live)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil && metav1.IsControlledBy(&live, rs) {
		if ok, _ := c.authority.MemberCertOK(live.Data, rs, env, name, s.Now()); ok {
			return nil
		}
	}
	pair, err := c.authority.Member(rs, env, name, s.Now())
	if err != nil {
		return err
	}
	return Put(ctx, s.Client, resources.TLSSecret(rs, name, pair, c.authority.Pair.CertPEM))
}

// password looks after the password Secret: the operator's own is made when absent; a named one is only
// looked at, by its metadata.
func (s *Secrets) password(ctx context.Context, rs *v1alpha1.ReplicaSet, c *credentials) ([]plan.Event, string, error) {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	key := types.NamespacedName{Namespace: rs.Namespace, Name: resources.AuthSecretName(rs)}
	err := s.Live.Get(ctx, key, meta)
	switch {
	case err == nil:
		c.authSeen = meta.ResourceVersion
		return nil, "", nil
	case !apierrors.IsNotFound(err):
		return nil, "", err
	case rs.Spec.Auth.SecretName != "":
		why := fmt.Sprintf("Secret %s of spec.auth.secretName does not exist: create it with the key %q", key.Name, resources.KeyPassword)
		return nil, why, nil
	}
	secret, err := resources.AuthSecret(rs, rand.Reader)
	if err != nil {
		return nil, "", err
	}
	if err := s.Client.Create(ctx, secret, FieldOwner); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, "", err
	}
	first := c.authSeen == ""
	c.authSeen = secret.ResourceVersion
	if first {
		return []plan.Event{{Reason: "PasswordMade", Note: "Secret " + key.Name + " holds a random password"}}, "", nil
	}
	return []plan.Event{{Warning: true, Reason: "PasswordMade", Note: "Secret " + key.Name + " was gone: a new password is rotated in"}}, "", nil
}

package resources

import (
	"encoding/base64"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// Keys of the Secrets.
const (
	KeyPassword = passwordKey
	KeyCert     = corev1.TLSCertKey
	KeyKey      = corev1.TLSPrivateKeyKey
	KeyCA       = "ca.crt"
)

func secret(rs *v1alpha1.ReplicaSet, name string, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: owned(rs, name), Type: kind, Data: data}
}

// AuthSecret is a fresh Secret with a password of 192 random bits.
func AuthSecret(rs *v1alpha1.ReplicaSet, random io.Reader) (*corev1.Secret, error) {
	raw := make([]byte, 24)
	if _, err := io.ReadFull(random, raw); err != nil {
		return nil, fmt.Errorf("draw a password: %w", err)
	}
	password := base64.RawURLEncoding.EncodeToString(raw)
	s := secret(rs, AuthSecretName(rs), corev1.SecretTypeOpaque, map[string][]byte{KeyPassword: []byte(password)})
	if keepsData(rs) {
		// The data outlives the set, so its password does as well: a set made again finds both.
		s.OwnerReferences = nil
	}
	return s, nil
}

func keepsData(rs *v1alpha1.ReplicaSet) bool {
	return Persists(rs) && rs.Spec.Persistence.Storage.WhenDeleted == v1alpha1.Retain
}

// AuthoritySecret is the Secret of the set's authority. Only the operator reads it.
func AuthoritySecret(rs *v1alpha1.ReplicaSet, p KeyPair) *corev1.Secret {
	return secret(rs, AuthoritySecretName(rs.Name), corev1.SecretTypeTLS, map[string][]byte{KeyCert: p.CertPEM, KeyKey: p.KeyPEM})
}

// TLSSecret is the Secret with a member's certificate.
func TLSSecret(rs *v1alpha1.ReplicaSet, member string, p KeyPair, ca []byte) *corev1.Secret {
	s := secret(rs, TLSSecretName(member), corev1.SecretTypeTLS, map[string][]byte{KeyCert: p.CertPEM, KeyKey: p.KeyPEM, KeyCA: ca})
	s.Labels[LabelMember] = member
	return s
}

package resources

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// Lives of certificates. One is renewed when two thirds of its life have passed.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	memberLife    = 365 * 24 * time.Hour
	operatorLife  = 24 * time.Hour
)

// KeyPair is a certificate and its key, in PEM.
type KeyPair struct{ CertPEM, KeyPEM []byte }

// Authority signs the certificates of one set. Another set's certificates mean nothing to it.
type Authority struct {
	Pair KeyPair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	set  string // set UID
}

// NewAuthority makes the authority of a set.
func NewAuthority(setUID string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "understudy set " + setUID},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, MaxPathLenZero: true,
	}
	pair, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return LoadAuthority(setUID, pair)
}

// LoadAuthority reads an authority from its Secret. An error means that the Secret is damaged: make a
// new authority and new member certificates.
func LoadAuthority(setUID string, p KeyPair) (*Authority, error) {
	cert, err := parseCert(p.CertPEM)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	block, _ := pem.Decode(p.KeyPEM)
	if block == nil {
		return nil, errors.New("authority: no key in PEM form")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("authority: key and certificate do not belong together")
	}
	return &Authority{Pair: p, cert: cert, key: key, set: setUID}, nil
}

// Pool trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Member makes the certificate of a member.
func (a *Authority) Member(rs *v1alpha1.ReplicaSet, env Env, name string, now time.Time) (KeyPair, error) {
	return a.issue(name, MemberURI(a.set, name), MemberDNS(rs, env, name), memberLife, now)
}

// Operator makes a certificate for the operator itself. It lives in memory only.
func (a *Authority) Operator(now time.Time) (KeyPair, error) {
	return a.issue("operator", &url.URL{Scheme: "understudy", Host: a.set, Path: "/operator"}, nil, operatorLife, now)
}

// MemberURI names a member in its certificate.
func MemberURI(setUID, name string) *url.URL {
	return &url.URL{Scheme: "understudy", Host: setUID, Path: "/member/" + name}
}

// MemberDNS are the names of a member.
func MemberDNS(rs *v1alpha1.ReplicaSet, env Env, name string) []string {
	full := fmt.Sprintf("%s.%s.%s.svc", name, HeadlessName(rs.Name), rs.Namespace)
	names := []string{name, full}
	if env.ClusterDomain != "" {
		names = append(names, full+"."+env.ClusterDomain)
	}
	return names
}

func (a *Authority) issue(cn string, uri *url.URL, dns []string, life time.Duration, now time.Time) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("key of %s: %w", cn, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: clip(cn)}, URIs: []*url.URL{uri}, DNSNames: dns,
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return sign(template, a.cert, key, a.key)
}

// clip keeps a common name within its 64 characters (RFC 5280, ub-common-name).
func clip(cn string) string { return cn[:min(len(cn), 64)] }

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (KeyPair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return KeyPair{}, fmt.Errorf("sign %s: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // crypto/rand does not fail on supported systems
	}
	return n
}

func parseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

// MemberCertOK tells whether a member's certificate is this authority's, names the member, and is not
// due for renewal; otherwise it says why a new one is needed.
func (a *Authority) MemberCertOK(data map[string][]byte, rs *v1alpha1.ReplicaSet, env Env, name string, now time.Time) (ok bool, why string) {
	cert, err := parseCert(data[KeyCert])
	if err != nil {
		return false, err.Error()
	}
	if string(data[KeyCA]) != string(a.Pair.CertPEM) || cert.CheckSignatureFrom(a.cert) != nil {
		return false, "signed by another authority"
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != MemberURI(a.set, name).String() {
		return false, "names another member"
	}
	for _, dns := range MemberDNS(rs, env, name) {
		if cert.VerifyHostname(dns) != nil {
			return false, "lacks the name " + dns
		}
	}
	if due := cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) * 2 / 3); now.After(due) {
		return false, "due for renewal"
	}
	if block, _ := pem.Decode(data[KeyKey]); block == nil {
		return false, "has no key"
	}
	return true, ""
}

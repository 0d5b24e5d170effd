// Package pki makes the keys, certificates and kubeconfigs of a cluster: one authority, one certificate per program, all
// ECDSA P-256. It writes files into one folder and does nothing else.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates. Its own certificate and key are ca.crt and ca.key.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

// Subject is whom a certificate is for. Hosts are DNS names or IP addresses; empty for a client that serves nothing.
type Subject struct {
	Name  string
	Group string
	Hosts []string
}

const lifetime = 10 * 365 * 24 * time.Hour

// NewAuthority makes an authority and writes it to dir, which is created.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: "understudy-cluster-ca"})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: cert, key: key, dir: dir}
	return a, a.write("ca", der, key)
}

// Issue writes <file>.crt and <file>.key for the subject, good for both serving and calling.
func (a *Authority) Issue(file string, s Subject) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	name := pkix.Name{CommonName: s.Name}
	if s.Group != "" {
		name.Organization = []string{s.Group}
	}
	template := certificate(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range s.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return a.write(file, der, key)
}

// Kubeconfig returns a kubeconfig for server that holds the certificate and key of file.
func (a *Authority) Kubeconfig(file, server string) ([]byte, error) {
	enc := func(name string) (string, error) {
		b, err := os.ReadFile(filepath.Join(a.dir, name))
		return base64.StdEncoding.EncodeToString(b), err
	}
	ca, err := enc("ca.crt")
	if err != nil {
		return nil, err
	}
	cert, err := enc(file + ".crt")
	if err != nil {
		return nil, err
	}
	key, err := enc(file + ".key")
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: understudy
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %s
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: understudy
  context: {cluster: understudy, user: %s}
current-context: understudy
`, server, ca, file, cert, key, file), nil
}

// ServiceAccountKey writes sa.key and sa.pub, with which tokens of service accounts are signed and checked.
func (a *Authority) ServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(a.dir, "sa.key"), "EC PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(a.dir, "sa.pub"), "PUBLIC KEY", public, 0o644)
}

func certificate(name pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("pki: no randomness: " + err.Error())
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime)}
}

func (a *Authority) write(file string, der []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(a.dir, file+".key"), "EC PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(a.dir, file+".crt"), "CERTIFICATE", der, 0o644)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

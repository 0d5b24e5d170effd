// Package certs turns the directives tls-* into configurations of crypto/tls: one for clients and replicas that come, one
// for the link to a master. It reads files when it is told to and never by itself; it opens no sockets.
//
// What crypto/tls cannot do is refused or said: the cipher suites of TLS 1.3 cannot be chosen, there are no finite-field
// Diffie-Hellman parameters, and sessions are resumed by tickets, so there is no cache whose size or age could be set.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/understudy-db/understudy/server/settings"
)

// Names are the directives that a change of must be followed by Load.
var Names = []string{"tls-port", "tls-replication", "tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-client-cert-file",
	"tls-client-key-file", "tls-client-key-file-pass", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients", "tls-protocols",
	"tls-ciphers", "tls-ciphersuites", "tls-session-caching"}

// Certs holds the configurations in force. Connections that are there keep theirs.
type Certs struct {
	s       *settings.Settings
	current atomic.Pointer[pair]
}

type pair struct{ server, client *tls.Config }

// New makes a holder of nothing; see Load.
func New(s *settings.Settings) *Certs { return &Certs{s: s} }

// Load reads the files that the directives name. Nothing changes when that fails, or when TLS is not used.
func (c *Certs) Load() error {
	if c.s.Int(settings.TLSPort) == 0 && !c.s.Bool(settings.TLSReplication) {
		return nil
	}
	p, err := c.build()
	if err == nil {
		c.current.Store(p)
	}
	return err
}

// Server is the configuration for connections that come, nil before the first Load.
func (c *Certs) Server() *tls.Config {
	if p := c.current.Load(); p != nil {
		return p.server
	}
	return nil
}

// Client is the configuration for the link to a master; nil when tls-replication is off.
func (c *Certs) Client() *tls.Config {
	if p := c.current.Load(); p != nil && c.s.Bool(settings.TLSReplication) {
		return p.client
	}
	return nil
}

func (c *Certs) build() (*pair, error) {
	s := c.s
	own, err := keyPair(s.String(settings.TLSCertFile), s.String(settings.TLSKeyFile), s.String(settings.TLSKeyFilePass))
	if err != nil {
		return nil, err
	}
	asClient := own
	if file := s.String(settings.TLSClientCertFile); file != "" {
		if asClient, err = keyPair(file, s.String(settings.TLSClientKeyFile), s.String(settings.TLSClientKeyFilePass)); err != nil {
			return nil, err
		}
	}
	roots, err := authorities(s.String(settings.TLSCACertFile), s.String(settings.TLSCACertDir))
	if err != nil {
		return nil, err
	}
	auth := s.EnumName(settings.TLSAuthClients)
	if roots == nil && (auth != "no" || s.Bool(settings.TLSReplication)) {
		return nil, errors.New("either tls-ca-cert-file or tls-ca-cert-dir must be given when tls-replication or tls-auth-clients are enabled")
	}
	base := &tls.Config{}
	if base.MinVersion, base.MaxVersion, err = protocols(s.String(settings.TLSProtocols)); err != nil {
		return nil, err
	}
	if base.CipherSuites, err = ciphers(s.String(settings.TLSCiphers)); err != nil {
		return nil, err
	}
	if err := suites13(s.String(settings.TLSCipherSuites)); err != nil {
		return nil, err
	}
	p := &pair{server: base.Clone(), client: base.Clone()}
	p.server.Certificates = []tls.Certificate{*own}
	p.server.ClientCAs, p.server.ClientAuth = roots, clientAuth[auth]
	p.server.SessionTicketsDisabled = !s.Bool(settings.TLSSessionCaching)
	p.client.Certificates = []tls.Certificate{*asClient}
	// As in Redis the peer must be signed by the authority; its name is not compared with the address, which an operator or
	// Sentinel writes as an IP.
	p.client.InsecureSkipVerify = true
	p.client.VerifyConnection = func(cs tls.ConnectionState) error { return verify(cs, roots) }
	return p, nil
}

var clientAuth = map[string]tls.ClientAuthType{"yes": tls.RequireAndVerifyClientCert, "optional": tls.VerifyClientCertIfGiven, "no": tls.NoClientCert}

// verify checks a master's chain.
func verify(cs tls.ConnectionState, roots *x509.CertPool) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the master shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

// keyPair reads a certificate and its key, which may be encrypted.
func keyPair(certFile, keyFile, pass string) (*tls.Certificate, error) {
	switch {
	case certFile == "":
		return nil, errors.New("no tls-cert-file configured")
	case keyFile == "":
		return nil, errors.New("no tls-key-file configured")
	}
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("failed to load certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("failed to load private key: %w", err)
	}
	if key, err = decrypt(key, pass); err != nil {
		return nil, fmt.Errorf("failed to load private key: %s: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// authorities reads the certificates of a file, and of every file of a directory. nil when none is named.
func authorities(file, dir string) (*x509.CertPool, error) {
	if file == "" && dir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("failed to configure CA certificate(s) file: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("failed to configure CA certificate(s) file: %s holds no certificate", file)
		}
	}
	if dir == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to configure CA certificate(s) directory: %w", err)
	}
	for _, e := range entries {
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			pool.AppendCertsFromPEM(text) // what is no certificate is of no account, as in OpenSSL
		}
	}
	return pool, nil
}

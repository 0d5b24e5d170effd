// Package mtls is who may speak on a management listener: mutual TLS 1.3 under the set's own authority.
//
// Certificates name their holder in a URI (docs/server-contract.md):
//
//	understudy://SET_UID/operator        may give orders
//	understudy://SET_UID/member/NAME     may ask for reports
//
// A certificate of another authority or of another set is refused in the handshake. The files are read again when
// they change, so a renewed certificate needs no restart. The package does no message exchange.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Peer is the holder of a verified certificate.
type Peer struct {
	SetUID   string
	Operator bool
	Member   string // pod name, "" for the operator
}

// Identity is this process's certificate and the authority that it trusts. It is safe for concurrent use.
type Identity struct {
	dir, setUID string

	mu     sync.Mutex
	stamp  stamp
	cert   *tls.Certificate
	roots  *x509.CertPool
	server *tls.Config // of connections that come; shared, so that each costs less
	looked time.Time
}

type stamp [3]fileStamp

type fileStamp struct {
	modified time.Time
	size     int64
}

var files = [3]string{"tls.crt", "tls.key", "ca.crt"}

// recheck is for how long loaded files are believed without a look at their times.
const recheck = time.Second

// New reads tls.crt, tls.key and ca.crt from dir. setUID is the set that peers must belong to.
func New(dir, setUID string) (*Identity, error) {
	if setUID == "" {
		return nil, errors.New("mutual TLS: the set's UID is empty: pass --set-uid")
	}
	id := &Identity{dir: dir, setUID: setUID}
	if _, _, err := id.current(); err != nil {
		return nil, err
	}
	return id, nil
}

// current returns the certificate and the roots, read again when a file changed. While a change is being written (the
// key does not fit the certificate yet) the old pair stays in use.
func (id *Identity) current() (*tls.Certificate, *x509.CertPool, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.cert != nil && time.Since(id.looked) < recheck {
		return id.cert, id.roots, nil
	}
	id.looked = time.Now()
	now, err := id.stamps()
	if err == nil && (id.cert == nil || now != id.stamp) {
		err = id.load()
		if err == nil {
			id.stamp = now
		}
	}
	if id.cert == nil {
		return nil, nil, err
	}
	return id.cert, id.roots, nil
}

func (id *Identity) stamps() (stamp, error) {
	var s stamp
	for i, name := range files {
		info, err := os.Stat(filepath.Join(id.dir, name))
		if err != nil {
			return stamp{}, fmt.Errorf("mutual TLS: %w", err)
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (id *Identity) load() error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(id.dir, files[0]), filepath.Join(id.dir, files[1]))
	if err != nil {
		return fmt.Errorf("mutual TLS: %w", err)
	}
	pem, err := os.ReadFile(filepath.Join(id.dir, files[2]))
	if err != nil {
		return fmt.Errorf("mutual TLS: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("mutual TLS: %s holds no certificate", filepath.Join(id.dir, files[2]))
	}
	id.cert, id.roots = &cert, roots
	id.server = &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              roots,
		VerifyConnection:       id.verify,
		SessionTicketsDisabled: true, // connections are few and long; every one shows its certificate
	}
	return nil
}

// ServerConfig is for listeners: clients must present a certificate of the same set.
func (id *Identity) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if _, _, err := id.current(); err != nil {
				return nil, err
			}
			id.mu.Lock()
			defer id.mu.Unlock()
			return id.server, nil
		},
	}
}

// ClientConfig is for dialling another member. Members are known by the URI in their certificate, not by the address
// that was dialled, so the host name is not checked; the authority and the set are.
func (id *Identity) ClientConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // verifyChain below checks the authority, verify the set
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, _, err := id.current()
			return cert, err
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := id.verifyChain(cs, x509.ExtKeyUsageServerAuth); err != nil {
				return err
			}
			return id.verify(cs)
		},
	}
}

func (id *Identity) verifyChain(cs tls.ConnectionState, usage x509.ExtKeyUsage) error {
	_, roots, err := id.current()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err = cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func (id *Identity) verify(cs tls.ConnectionState) error {
	peer, err := PeerOf(cs)
	if err != nil {
		return err
	}
	if peer.SetUID != id.setUID {
		return fmt.Errorf("mutual TLS: the peer belongs to set %s, this is a member of %s", peer.SetUID, id.setUID)
	}
	return nil
}

// PeerOf tells who is at the other end of a finished handshake.
func PeerOf(cs tls.ConnectionState) (Peer, error) {
	if len(cs.PeerCertificates) == 0 {
		return Peer{}, errors.New("mutual TLS: the peer has shown no certificate")
	}
	for _, uri := range cs.PeerCertificates[0].URIs {
		if uri.Scheme != "understudy" {
			continue
		}
		if uri.Path == "/operator" {
			return Peer{SetUID: uri.Host, Operator: true}, nil
		}
		if name, ok := strings.CutPrefix(uri.Path, "/member/"); ok && name != "" {
			return Peer{SetUID: uri.Host, Member: name}, nil
		}
	}
	return Peer{}, errors.New("mutual TLS: the peer's certificate names no member and no operator")
}

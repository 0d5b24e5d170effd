package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

func write(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := plan.New(t.TempDir(), "/bin", 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func leaf(t *testing.T, p *plan.Plan, file string) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(p.PKI(), file+".crt"), filepath.Join(p.PKI(), file+".key"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestCertificatesVerify checks each certificate as the other side will: the chain, the name it is called by, its use.
func TestCertificatesVerify(t *testing.T) {
	p := write(t)
	pem, err := os.ReadFile(filepath.Join(p.PKI(), "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, c := range []struct {
		file, host, name, group string
	}{
		{"apiserver", plan.ControlPlaneIP, "kube-apiserver", ""},
		{"apiserver", plan.ServiceIP, "kube-apiserver", ""},
		{"apiserver", "kubernetes.default.svc", "kube-apiserver", ""},
		{"n2", p.Nodes[1].IP, "system:node:n2", "system:nodes"},
		{"admin", "", "admin", "system:masters"},
		{"kubelet-client", "", "apiserver-kubelet-client", "system:masters"},
		{"kube-proxy", "", "system:kube-proxy", ""},
	} {
		cert := leaf(t, p, c.file)
		use := x509.ExtKeyUsageClientAuth
		if c.host != "" {
			use = x509.ExtKeyUsageServerAuth
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: c.host, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Errorf("%s as %q: %v", c.file, c.host, err)
		}
		var group string
		if len(cert.Subject.Organization) > 0 {
			group = cert.Subject.Organization[0]
		}
		if cert.Subject.CommonName != c.name || group != c.group {
			t.Errorf("%s is for %q of %q, want %q of %q", c.file, cert.Subject.CommonName, group, c.name, c.group)
		}
	}
	if cert := leaf(t, p, "n1"); cert.IsCA {
		t.Error("a node could sign certificates")
	}
}

func TestKubeconfig(t *testing.T) {
	p := write(t)
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://"+plan.ControlPlaneIP+":6443" || len(config.CAData) == 0 || len(config.CertData) == 0 {
		t.Errorf("kubeconfig points to %q", config.Host)
	}
	info, err := os.Stat(p.Kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the administrator's key is readable by others: %v, %v", info.Mode(), err)
	}
}

package pki

import (
	"os"
	"path/filepath"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// client is a program that calls the API server with a kubeconfig of its own.
type client struct {
	file    string
	subject Subject
}

// Write makes everything that a planned cluster needs: the authority, the programs' certificates, their kubeconfigs,
// and the administrator's kubeconfig beside the PKI folder.
func Write(p *plan.Plan) error {
	ca, err := NewAuthority(p.PKI())
	if err != nil {
		return err
	}
	if err := ca.ServiceAccountKey(); err != nil {
		return err
	}
	if err := ca.Issue("apiserver", Subject{Name: "kube-apiserver", Hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + plan.Domain, "localhost",
		plan.ServiceIP, plan.ControlPlaneIP, "127.0.0.1"}}); err != nil {
		return err
	}
	if err := ca.Issue("kubelet-client", Subject{Name: "apiserver-kubelet-client", Group: "system:masters"}); err != nil {
		return err
	}
	for _, c := range clients(p) {
		if err := ca.Issue(c.file, c.subject); err != nil {
			return err
		}
		config, err := ca.Kubeconfig(c.file, "https://"+plan.ControlPlaneIP+":6443")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.PKI(), c.file+".kubeconfig"), config, 0o600); err != nil {
			return err
		}
		if c.file == "admin" {
			if err := os.WriteFile(p.Kubeconfig(), config, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func clients(p *plan.Plan) []client {
	all := []client{
		{"admin", Subject{Name: "admin", Group: "system:masters"}},
		{"kube-controller-manager", Subject{Name: "system:kube-controller-manager"}},
		{"kube-scheduler", Subject{Name: "system:kube-scheduler"}},
		{"kube-proxy", Subject{Name: "system:kube-proxy"}},
	}
	for _, n := range p.Nodes {
		all = append(all, client{n.Name, Subject{Name: "system:node:" + n.Name, Group: "system:nodes", Hosts: []string{n.Name, n.IP}}})
	}
	return all
}

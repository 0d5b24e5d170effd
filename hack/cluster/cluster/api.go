package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// api asks the API server the few things that the driver waits for.
type api struct {
	client *http.Client
}

func newAPI(p *plan.Plan) (*api, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(p.PKI(), "admin.crt"), filepath.Join(p.PKI(), "admin.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(p.PKI(), "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca.crt holds no certificate: run `make cluster-down`")
	}
	return &api{client: &http.Client{
		Timeout:   3 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}},
	}}, nil
}

// get reads path into out, or only checks that the answer is 200 when out is nil.
func (a *api) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+plan.ControlPlaneIP+":6443"+path, nil)
	if err != nil {
		return err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.200s", path, resp.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

func (a *api) ready(ctx context.Context) error { return a.get(ctx, "/readyz", nil) }

type nodeObject struct {
	Status struct {
		Conditions []struct {
			Type, Status      string
			LastHeartbeatTime time.Time
		}
	}
}

// nodesReady is nil when every node has said, after the given time, that it is ready.
func (a *api) nodesReady(ctx context.Context, nodes []plan.Node, since time.Time) error {
	for _, n := range nodes {
		var o nodeObject
		if err := a.get(ctx, "/api/v1/nodes/"+n.Name, &o); err != nil {
			return err
		}
		ready := false
		for _, c := range o.Status.Conditions {
			ready = ready || c.Type == "Ready" && c.Status == "True" && !c.LastHeartbeatTime.Before(since)
		}
		if !ready {
			return fmt.Errorf("node %s is not ready", n.Name)
		}
	}
	return nil
}

func (a *api) dnsReady(ctx context.Context) error {
	var o struct{ Status struct{ ReadyReplicas int } }
	if err := a.get(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", &o); err != nil {
		return err
	}
	if o.Status.ReadyReplicas < 1 {
		return errors.New("no DNS pod is ready")
	}
	return nil
}

package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/understudy-db/understudy/hack/cluster/plan"
)

// addons.yaml: the rights of kube-proxy, DNS, and the default storage class.
//
//go:embed addons.yaml
var addons string

func (d *Driver) applyAddons(ctx context.Context, p *plan.Plan) error {
	text := strings.NewReplacer("@DNS_IP@", plan.DNSIP, "@DNS_IMAGE@", plan.DNSImage, "@DOMAIN@", plan.Domain).Replace(addons)
	var last []byte
	err := poll(ctx, 200*time.Millisecond, func() error {
		cmd := exec.CommandContext(ctx, p.Program("kubectl"), "--kubeconfig", p.Kubeconfig(), "apply", "--server-side", "--force-conflicts", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		var err error
		last, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot apply the cluster's own objects: %w: %s", err, last)
	}
	return nil
}

// Kubectl replaces this process by the cluster's kubectl.
func (d *Driver) Kubectl(args []string) (*exec.Cmd, error) {
	p, _, err := d.load()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.Program("kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.Kubeconfig())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (d *Driver) Kubeconfig() (string, error) {
	p, _, err := d.load()
	if err != nil {
		return "", err
	}
	return p.Kubeconfig(), nil
}

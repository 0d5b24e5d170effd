package testbed

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/understudy-db/understudy/hack/internal/images"
)

// Namespace and release of the operator.
const (
	OperatorNamespace = "understudy-system"
	Release           = "understudy"
)

// Images are the names under which the cluster knows the project's images.
type Images struct {
	Server, Operator Image
}

// Image is a repository and a tag.
type Image struct{ Repository, Tag string }

func (i Image) String() string { return i.Repository + ":" + i.Tag }

// Built are the images that LoadImages makes.
func Built(tag string) Images {
	return Images{Server: Image{"localhost/understudy-server", tag}, Operator: Image{"localhost/understudy-operator", tag}}
}

// LoadImages builds the project's images from the source tree and gives them to every node.
func (b *Bed) LoadImages(ctx context.Context, tag string) error {
	return b.LoadSpecs(ctx, images.Product(tag)...)
}

// LoadSpecs builds images and gives them to every node.
func (b *Bed) LoadSpecs(ctx context.Context, specs ...images.Spec) error {
	verb := []string{"load"}
	for _, s := range specs {
		archive, _, err := images.Build(ctx, b.Root, filepath.Join(b.Root, "bin", "images"), s)
		if err != nil {
			return err
		}
		verb = append(verb, archive)
	}
	_, err := b.Tool(ctx, verb...)
	return err
}

// Install installs or upgrades the chart and waits until the operator's pods are ready.
func (b *Bed) Install(ctx context.Context, img Images, more ...string) error {
	fmt.Fprintln(b.Out, "          helm: built from hack/tools the first time, which takes minutes")
	if err := b.run(ctx, "make", "-s", "bin/helm"); err != nil {
		return err
	}
	return b.helm(ctx, append([]string{"upgrade", "--install", Release, "charts/understudy", "--namespace", OperatorNamespace, "--create-namespace",
		"--set", "image.repository=" + img.Operator.Repository, "--set-string", "image.tag=" + img.Operator.Tag,
		"--set", "serverImage.repository=" + img.Server.Repository, "--set-string", "serverImage.tag=" + img.Server.Tag,
		"--wait", "--timeout", "3m"}, more...)...)
}

// Uninstall removes the release; the CRD and the sets stay, as the chart says.
func (b *Bed) Uninstall(ctx context.Context) error {
	return b.helm(ctx, "uninstall", Release, "--namespace", OperatorNamespace, "--wait", "--ignore-not-found")
}

// RestartOperator makes the operator's pods start again, so that they run images loaded under the same tag.
func (b *Bed) RestartOperator(ctx context.Context) error {
	if _, err := b.Kubectl(ctx, "-n", OperatorNamespace, "rollout", "restart", "deployment"); err != nil {
		return err
	}
	_, err := b.Kubectl(ctx, "-n", OperatorNamespace, "rollout", "status", "deployment", "--timeout=3m")
	return err
}

func (b *Bed) helm(ctx context.Context, args ...string) error {
	common := []string{"--kubeconfig", b.Kubeconfig}
	if b.Context != "" {
		common = append(common, "--kube-context", b.Context)
	}
	_, err := b.output(ctx, filepath.Join(b.Root, "bin", "helm"), append(common, args...)...)
	if err != nil {
		pods, _ := b.Kubectl(ctx, "-n", OperatorNamespace, "get", "pods", "-o", "wide")
		logs, _ := b.Kubectl(ctx, "-n", OperatorNamespace, "logs", "--all-containers", "--prefix", "--tail=20", "-l", "app.kubernetes.io/instance="+Release)
		return fmt.Errorf("%w\n%s%s", err, pods, logs)
	}
	return nil
}

// Package testbed is what the demonstration and the end-to-end suites share: a cluster to work on, the operator installed
// on it by Helm, replica sets, clients that reach them from this machine, and ways to break things.
//
// It only does what a user could do by hand with hack/cluster, kubectl and helm; it never reaches into the product.
package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// Bed is a cluster to work on.
type Bed struct {
	Root       string // the source tree
	Kubeconfig string
	Context    string // of the kubeconfig; empty is its current one
	Client     client.Client
	Out        io.Writer // what the tools say

	tool    string // hack/cluster, built; empty when the cluster is not ours
	kubectl string
}

// Root finds the source tree upwards from the working folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "cluster", "main.go")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this inside the source tree")
		}
	}
}

// Own starts, or finds running, the cluster of hack/cluster.
func Own(ctx context.Context, nodes int, out io.Writer) (*Bed, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	b := newOwn(root, out)
	if err := b.buildTool(ctx); err != nil {
		return nil, err
	}
	if err := b.run(ctx, b.tool, "up", "--nodes", fmt.Sprint(nodes)); err != nil {
		return nil, err
	}
	path, err := b.output(ctx, b.tool, "kubeconfig")
	if err != nil {
		return nil, err
	}
	b.Kubeconfig = strings.TrimSpace(path)
	return b, b.connect()
}

// Down ends the cluster of hack/cluster.
func Down(ctx context.Context, out io.Writer) error {
	root, err := Root()
	if err != nil {
		return err
	}
	b := newOwn(root, out)
	if err := b.buildTool(ctx); err != nil {
		return err
	}
	return b.run(ctx, b.tool, "down")
}

func newOwn(root string, out io.Writer) *Bed {
	return &Bed{Root: root, Out: out, tool: filepath.Join(root, "bin", "cluster")}
}

func (b *Bed) buildTool(ctx context.Context) error {
	return b.run(ctx, "go", "build", "-o", b.tool, "./hack/cluster")
}

// Current takes the cluster that the user's kubeconfig points to. The caller must have asked the user.
func Current(out io.Writer) (*Bed, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	raw, err := rules.Load()
	if err != nil {
		return nil, err
	}
	if raw.CurrentContext == "" {
		return nil, errors.New("your kubeconfig has no current context: set one with `kubectl config use-context`")
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("kubectl is needed to work on a cluster of yours: install it")
	}
	b := &Bed{Root: root, Out: out, Kubeconfig: rules.GetDefaultFilename(), Context: raw.CurrentContext, kubectl: kubectl}
	return b, b.connect()
}

// Ours tells whether the cluster is hack/cluster's, so that nodes may be broken and images loaded.
func (b *Bed) Ours() bool { return b.tool != "" }

// NoKubectl tells whether this machine lacks a kubectl of its own.
func (b *Bed) NoKubectl() bool {
	_, err := exec.LookPath("kubectl")
	return err != nil
}

func (b *Bed) connect() error {
	log.SetLogger(logr.Discard()) // the client library would print a stack trace for want of one
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: b.Kubeconfig}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: b.Context}).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	b.Client, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

// Tool runs a verb of hack/cluster, such as kill-node n2.
func (b *Bed) Tool(ctx context.Context, args ...string) (string, error) {
	if !b.Ours() {
		return "", fmt.Errorf("%s: only hack/cluster can do this; this cluster is not ours", args[0])
	}
	return b.output(ctx, b.tool, args...)
}

// Kubectl runs kubectl and returns its standard output.
func (b *Bed) Kubectl(ctx context.Context, args ...string) (string, error) {
	return b.kubectlWith(ctx, "", args...)
}

// Apply applies a manifest.
func (b *Bed) Apply(ctx context.Context, manifest string) error {
	_, err := b.kubectlWith(ctx, manifest, "apply", "-f", "-")
	return err
}

// KubectlCommand prepares kubectl for callers that stream.
func (b *Bed) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	if b.Ours() {
		return b.command(ctx, b.tool, append([]string{"kubectl"}, args...)...)
	}
	return b.command(ctx, b.kubectl, append([]string{"--context", b.Context}, args...)...)
}

func (b *Bed) kubectlWith(ctx context.Context, input string, args ...string) (string, error) {
	cmd := b.KubectlCommand(ctx, args...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	return finish(cmd, "kubectl "+strings.Join(args, " "))
}

func (b *Bed) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.Root
	return cmd
}

// run shows a program's output as it comes.
func (b *Bed) run(ctx context.Context, program string, args ...string) error {
	cmd := b.command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = b.Out, b.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	return nil
}

func (b *Bed) output(ctx context.Context, program string, args ...string) (string, error) {
	return finish(b.command(ctx, program, args...), filepath.Base(program)+" "+strings.Join(args, " "))
}

func finish(cmd *exec.Cmd, name string) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(errs.String()+out.String()))
	}
	return out.String(), nil
}

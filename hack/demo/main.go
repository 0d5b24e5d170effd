// Command demo shows Understudy's whole job on a real Kubernetes in a few minutes: `make demo`.
//
// It builds the images, starts a cluster on this machine (or takes yours with CLUSTER=current, after asking), installs the
// operator by Helm, applies a set of three members without persistence (the dangerous case), writes keys, kills the master,
// shows that every key is still there, rotates the password, switches over by hand, and prints an account with times. The
// cluster stays up; `make demo-down` ends it.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/understudy-db/understudy/hack/internal/testbed"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	act := up
	if len(os.Args) > 1 && os.Args[1] == "down" {
		act = down
	}
	if err := act(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		return 1
	}
	return 0
}

func up(ctx context.Context, in io.Reader, out io.Writer) error {
	s := newShow(out)
	bed, images, err := s.stage(ctx, in)
	if err != nil {
		return err
	}
	if err := s.install(ctx, bed, images); err != nil {
		return err
	}
	if err := s.play(ctx, testbed.Set{Bed: bed, Namespace: namespace, Name: setName}); err != nil {
		return err
	}
	s.account(bed)
	return nil
}

const nodes = 3

// stage gets a cluster and says which images it has.
func (s *show) stage(ctx context.Context, in io.Reader) (*testbed.Bed, testbed.Images, error) {
	switch cluster := os.Getenv("CLUSTER"); cluster {
	case "":
		bed, err := testbed.Own(ctx, nodes, s.out)
		if err != nil {
			return nil, testbed.Images{}, err
		}
		s.step("a cluster of %d nodes is up", nodes)
		if err := bed.LoadImages(ctx, tag); err != nil {
			return nil, testbed.Images{}, err
		}
		s.step("images of server and operator built and on every node")
		return bed, testbed.Built(tag), nil
	case "current":
		return s.current(in)
	default:
		return nil, testbed.Images{}, fmt.Errorf("CLUSTER=%s: leave it unset for a cluster on this machine, or say CLUSTER=current for yours", cluster)
	}
}

// current takes the user's own cluster, after an explicit yes.
func (s *show) current(in io.Reader) (*testbed.Bed, testbed.Images, error) {
	images, err := imagesOf(os.Getenv("IMG"))
	if err != nil {
		return nil, images, err
	}
	bed, err := testbed.Current(s.out)
	if err != nil {
		return nil, images, err
	}
	what := fmt.Sprintf("This installs the operator into namespace %s and a demo set into namespace %s", testbed.OperatorNamespace, namespace)
	return bed, images, confirm(in, s.out, bed, what)
}

// confirm lets nothing but the word yes touch a cluster of the user's.
func confirm(in io.Reader, out io.Writer, bed *testbed.Bed, what string) error {
	fmt.Fprintf(out, "%s of the cluster\n\n    %s  (%s)\n\nGo on? Type yes: ", what, bed.Context, bed.Kubeconfig)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// down ends what the demo started: the cluster on this machine, or only what it put on the user's.
func down(ctx context.Context, in io.Reader, out io.Writer) error {
	if os.Getenv("CLUSTER") != "current" {
		return testbed.Down(ctx, out)
	}
	bed, err := testbed.Current(out)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("This deletes namespace %s with its data and the operator in namespace %s", namespace, testbed.OperatorNamespace)
	if err := confirm(in, out, bed, what); err != nil {
		return err
	}
	if _, err := bed.Kubectl(ctx, "delete", "namespace", namespace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	return bed.Uninstall(ctx)
}

// imagesOf derives both images from IMG=registry/path:tag, where understudy-server:tag and understudy-operator:tag are.
func imagesOf(img string) (testbed.Images, error) {
	slash, colon := strings.LastIndex(img, "/"), strings.LastIndex(img, ":")
	if colon <= slash || slash < 0 || colon == len(img)-1 {
		return testbed.Images{}, errors.New("CLUSTER=current needs IMG=registry/path/understudy:tag, where your cluster finds " +
			"registry/path/understudy-server:tag and -operator:tag: build them by `make images` or from the Dockerfile, and push them")
	}
	name, tag := img[:colon], img[colon+1:]
	return testbed.Images{
		Server:   testbed.Image{Repository: name + "-server", Tag: tag},
		Operator: testbed.Image{Repository: name + "-operator", Tag: tag},
	}, nil
}

func (s *show) install(ctx context.Context, bed *testbed.Bed, images testbed.Images) error {
	if err := bed.Install(ctx, images); err != nil {
		return err
	}
	if bed.Ours() { // images are loaded under one tag: an operator from an earlier demo would go on unchanged
		if err := bed.RestartOperator(ctx); err != nil {
			return err
		}
	}
	s.step("operator installed by Helm: two pods, one leads")
	return nil
}

func sample() (string, error) {
	root, err := testbed.Root()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(root, "hack", "demo", "sample.yaml"))
	return string(b), err
}

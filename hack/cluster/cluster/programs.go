package cluster

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/understudy-db/understudy/hack/cluster/builds"
	"github.com/understudy-db/understudy/hack/cluster/plan"
	"github.com/understudy-db/understudy/hack/internal/oci"
)

// kubePrograms are the names under which the combined binary answers.
var kubePrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl", "local-path"}

// kubeFlags stamp the version as upstream's release does; the date is fixed, so that equal sources give equal bytes.
func kubeFlags() string {
	const pkg = "k8s.io/component-base/version"
	minor := strings.Split(plan.Version, ".")[1]
	return "-s -w -X " + pkg + ".gitVersion=" + plan.Version + " -X " + pkg + ".gitMajor=1 -X " + pkg + ".gitMinor=" + minor +
		" -X " + pkg + ".gitCommit=module -X " + pkg + ".gitTreeState=clean -X " + pkg + ".buildDate=1970-01-01T00:00:00Z"
}

func (d *Driver) program(name string) builds.Program {
	p := builds.Program{Name: name, Dir: filepath.Join(d.Source, name), LDFlags: "-s -w"}
	if name == "kube" {
		p.LDFlags = kubeFlags()
	}
	return p
}

// Programs builds what is missing of Kubernetes and returns the folder with its programs.
func (d *Driver) Programs(ctx context.Context) (string, error) {
	c, err := d.cache()
	if err != nil {
		return "", err
	}
	p := d.program("kube")
	if !c.Cached(p) {
		d.say("building Kubernetes %s from Go modules: about 10 minutes on two cores the first time", plan.Version)
	}
	dir, err := c.Build(ctx, p)
	if err != nil {
		return "", err
	}
	return dir, builds.Links(dir, p.Name, kubePrograms...)
}

// Assets builds the programs and returns a folder that serves as KUBEBUILDER_ASSETS: etcd, kube-apiserver, kubectl.
func (d *Driver) Assets(ctx context.Context) (string, error) { return d.Programs(ctx) }

// systemImages builds the images that every node needs and returns their archives.
func (d *Driver) systemImages(ctx context.Context) ([]string, error) {
	var archives []string
	for _, image := range []struct{ program, ref string }{{"pause", plan.PauseImage}, {"coredns", plan.DNSImage}} {
		archive, err := d.systemImage(ctx, image.program, image.ref)
		if err != nil {
			return nil, err
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

func (d *Driver) systemImage(ctx context.Context, program, ref string) (string, error) {
	c, err := d.cache()
	if err != nil {
		return "", err
	}
	if !c.Cached(d.program(program)) {
		d.say("building %s", program)
	}
	dir, err := c.Build(ctx, d.program(program))
	if err != nil {
		return "", err
	}
	archive := filepath.Join(dir, program+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	binary, err := os.ReadFile(filepath.Join(dir, program))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if _, err := oci.Write(&out, oci.Image{Ref: ref, Files: map[string][]byte{"/" + program: binary}, Entrypoint: []string{"/" + program},
		User: "65532:65532", Arch: runtime.GOARCH}); err != nil {
		return "", err
	}
	temp := archive + ".new"
	if err := os.WriteFile(temp, out.Bytes(), 0o644); err != nil {
		return "", err
	}
	return archive, os.Rename(temp, archive)
}

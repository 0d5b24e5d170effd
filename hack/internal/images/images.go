// Package images builds this project's container images from Go packages: one static binary each, running as a user
// without rights, on nothing. No container engine is involved.
package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/understudy-db/understudy/hack/internal/oci"
)

// User runs every image; the pods' security context names the same number.
const User = "65532:65532"

// Spec is an image to build from the main package at Package, a path relative to Source.
type Spec struct {
	Ref     string // localhost/understudy-server:dev
	Package string // ./server
	Program string // /understudy-server: name of the binary in the image
}

// Product returns the two images of the project under a tag.
func Product(tag string) []Spec {
	return []Spec{
		{Ref: "localhost/understudy-server:" + tag, Package: "./server", Program: "/understudy-server"},
		{Ref: "localhost/understudy-operator:" + tag, Package: "./controllers", Program: "/understudy-operator"},
	}
}

// Parse reads REF=PACKAGE; the program in the image is named as the package's folder.
func Parse(arg string) (Spec, error) {
	ref, pkg, ok := strings.Cut(arg, "=")
	if !ok || ref == "" || pkg == "" {
		return Spec{}, fmt.Errorf("%q: want REF=PACKAGE, such as localhost/probe:1=./hack/e2e/probe", arg)
	}
	return Spec{Ref: ref, Package: pkg, Program: "/" + filepath.Base(pkg)}, nil
}

// Archive is the file name of the image's archive.
func (s Spec) Archive() string {
	return strings.NewReplacer("/", "_", ":", "_").Replace(strings.TrimPrefix(s.Ref, "localhost/")) + ".tar"
}

// Build compiles the package in the module at source, writes the image's archive into dir, and returns its path and
// the digest of its manifest.
func Build(ctx context.Context, source, dir string, s Spec) (archive, digest string, err error) {
	temp, err := os.MkdirTemp("", "understudy-image-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, s.Package)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("cannot build %s for %s: %w\n%s", s.Package, s.Ref, err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	archive = filepath.Join(dir, s.Archive())
	f, err := os.Create(archive + ".new")
	if err != nil {
		return "", "", err
	}
	digest, err = oci.Write(f, oci.Image{Ref: s.Ref, Arch: runtime.GOARCH, User: User, Entrypoint: []string{s.Program},
		Files: map[string][]byte{s.Program: content}})
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return "", "", err
	}
	return archive, digest, os.Rename(f.Name(), archive)
}

// Package oci writes container images as OCI image layouts in one tar file, without a container engine. The same input
// gives the same bytes, on any machine and with any Go release: times are zero, entries are sorted, and the one layer is
// not compressed.
//
// Formats: OCI image specification 1.0, sections "Image Layout", "Image Manifest" and "Image Configuration".
package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Image is what a container image holds.
type Image struct {
	Ref        string            // full name with tag, such as localhost/understudy-server:dev
	Files      map[string][]byte // absolute path in the image -> content; each is executable
	Entrypoint []string
	User       string // numeric "uid:gid"; empty is root
	Arch       string // GOARCH
	Labels     map[string]string
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type config struct {
	platform
	Created string        `json:"created"`
	Config  processConfig `json:"config"`
	RootFS  rootFS        `json:"rootfs"`
}

type processConfig struct {
	User       string            `json:"User,omitempty"`
	Env        []string          `json:"Env"`
	Entrypoint []string          `json:"Entrypoint"`
	WorkingDir string            `json:"WorkingDir"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write writes the image to w and returns the digest of its manifest.
func Write(w io.Writer, img Image) (digest string, err error) {
	name, tag, ok := strings.Cut(path.Base(img.Ref), ":")
	if !ok || name == "" || tag == "" {
		return "", fmt.Errorf("image name %q has no tag: want something like localhost/name:tag", img.Ref)
	}
	if len(img.Entrypoint) == 0 || len(img.Files) == 0 || img.Arch == "" {
		return "", fmt.Errorf("image %s: files, entrypoint and architecture are all needed", img.Ref)
	}
	layer, err := layerOf(img.Files)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", img.Ref, err)
	}
	on := platform{Architecture: img.Arch, OS: "linux"}
	conf := encode(config{platform: on, Created: "1970-01-01T00:00:00Z",
		Config: processConfig{User: img.User, Env: []string{"PATH=/"}, Entrypoint: img.Entrypoint, WorkingDir: "/", Labels: img.Labels},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{sum(layer)}}})
	man := encode(manifest{SchemaVersion: 2, MediaType: typeManifest,
		Config: descriptor{MediaType: typeConfig, Digest: sum(conf), Size: len(conf)},
		Layers: []descriptor{{MediaType: typeLayer, Digest: sum(layer), Size: len(layer)}}})
	idx := encode(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{{
		MediaType: typeManifest, Digest: sum(man), Size: len(man), Platform: &on,
		Annotations: map[string]string{"io.containerd.image.name": img.Ref, "org.opencontainers.image.ref.name": tag}}}})

	out := tar.NewWriter(w)
	put := func(name string, content []byte) {
		if err == nil {
			err = addFile(out, name, 0o644, content)
		}
	}
	put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	put("index.json", idx)
	for _, blob := range [][]byte{conf, man, layer} {
		put("blobs/sha256/"+strings.TrimPrefix(sum(blob), "sha256:"), blob)
	}
	if err != nil {
		return "", err
	}
	return sum(man), out.Close()
}

// layerOf makes the one layer: the files, the folders they need, and an empty /tmp that everyone may write.
func layerOf(files map[string][]byte) ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	made := map[string]bool{"/": true}
	var mkdir func(dir string, mode int64) error
	mkdir = func(dir string, mode int64) error {
		if made[dir] {
			return nil
		}
		if err := mkdir(path.Dir(dir), 0o755); err != nil {
			return err
		}
		made[dir] = true
		return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: mode, ModTime: time.Unix(0, 0)})
	}
	if err := mkdir("/tmp", 0o1777); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
			return nil, fmt.Errorf("%q is not a clean absolute path", name)
		}
		if err := mkdir(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := addFile(tw, name[1:], 0o755, files[name]); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), tw.Close()
}

func addFile(tw *tar.Writer, name string, mode int64, content []byte) error {
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := tw.Write(content)
	return err
}

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// encode cannot fail: the types above hold nothing that JSON lacks.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("oci: " + err.Error())
	}
	return b
}

package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

func sample() Image {
	return Image{Ref: "localhost/sample:v1", Arch: "amd64", User: "65532:65532", Entrypoint: []string{"/bin/b"},
		Files: map[string][]byte{"/bin/b": []byte("b"), "/bin/a": []byte("a"), "/etc/deep/er": []byte("e")}}
}

func write(t *testing.T, img Image) ([]byte, string) {
	t.Helper()
	var out bytes.Buffer
	digest, err := Write(&out, img)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), digest
}

func entries(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s has time %s: it must not tell when it was built", h.Name, h.ModTime)
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first, digest := write(t, sample())
	for range 20 { // the order of a map differs from run to run
		again, d := write(t, sample())
		if !bytes.Equal(first, again) || d != digest {
			t.Fatal("the same image was written as different bytes")
		}
	}
	other := sample()
	other.Files["/bin/a"] = []byte("A")
	if _, d := write(t, other); d == digest {
		t.Fatal("different images have the same digest")
	}
}

// TestDigests follows the layout as a container engine does: index -> manifest -> config and layer.
func TestDigests(t *testing.T) {
	archive, digest := write(t, sample())
	files := entries(t, archive)
	blob := func(d descriptor) []byte {
		b, ok := files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if !ok || len(b) != d.Size || fmt.Sprintf("sha256:%x", sha256.Sum256(b)) != d.Digest {
			t.Fatalf("blob %s is missing or not what it says", d.Digest)
		}
		return b
	}
	var idx index
	var man manifest
	var conf config
	for _, step := range []struct {
		from func() []byte
		into any
	}{
		{func() []byte { return files["index.json"] }, &idx},
		{func() []byte { return blob(idx.Manifests[0]) }, &man},
		{func() []byte { return blob(man.Config) }, &conf},
	} {
		if err := json.Unmarshal(step.from(), step.into); err != nil {
			t.Fatal(err)
		}
	}
	if idx.Manifests[0].Digest != digest || idx.Manifests[0].Annotations["io.containerd.image.name"] != "localhost/sample:v1" {
		t.Errorf("index names %+v", idx.Manifests[0])
	}
	if conf.Config.User != "65532:65532" || conf.RootFS.DiffIDs[0] != man.Layers[0].Digest {
		t.Errorf("config %+v does not fit layer %+v", conf, man.Layers[0])
	}
	var names []string
	layer := entries(t, blob(man.Layers[0]))
	for tr := tar.NewReader(bytes.NewReader(blob(man.Layers[0]))); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		names = append(names, fmt.Sprintf("%s %o", h.Name, h.Mode))
	}
	want := "tmp/ 1777, bin/ 755, bin/a 755, bin/b 755, etc/ 755, etc/deep/ 755, etc/deep/er 755"
	if got := strings.Join(names, ", "); got != want || string(layer["etc/deep/er"]) != "e" {
		t.Errorf("layer holds %s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*Image){
		"no tag":        func(i *Image) { i.Ref = "localhost/sample" },
		"no entrypoint": func(i *Image) { i.Entrypoint = nil },
		"no files":      func(i *Image) { i.Files = nil },
		"relative path": func(i *Image) { i.Files["bin/x"] = nil },
		"unclean path":  func(i *Image) { i.Files["/bin/../x"] = nil },
	} {
		img := sample()
		spoil(&img)
		if _, err := Write(io.Discard, img); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

func TestImagesOf(t *testing.T) {
	got, err := imagesOf("registry.example:5000/team/understudy:v1")
	if err != nil || got.Server.Repository != "registry.example:5000/team/understudy-server" || got.Operator.Tag != "v1" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "understudy", "registry.example:5000/team/understudy", "a/b:"} {
		if _, err := imagesOf(bad); err == nil || !strings.Contains(err.Error(), "IMG=") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSampleIsTheDangerousCase: without persistence, and where the acts look for it.
func TestSampleIsTheDangerousCase(t *testing.T) {
	text, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	_, second, ok := strings.Cut(text, "\n---\n")
	var rs v1alpha1.ReplicaSet
	if err := yaml.UnmarshalStrict([]byte(second), &rs); err != nil || !ok {
		t.Fatal(err)
	}
	if rs.Name != setName || rs.Namespace != namespace || rs.Spec.Members != 3 || rs.Spec.Persistence.Mode != "None" {
		t.Errorf("the sample is %s/%s with %d members, persistence %s", rs.Namespace, rs.Name, rs.Spec.Members, rs.Spec.Persistence.Mode)
	}
}

// TestForeignClusterNeedsYes: nothing but the word yes lets the demo touch a cluster of the user's.
func TestForeignClusterNeedsYes(t *testing.T) {
	t.Setenv("CLUSTER", "somewhere")
	if err := up(t.Context(), strings.NewReader("yes\n"), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "CLUSTER=current") {
		t.Errorf("CLUSTER=somewhere: %v", err)
	}
	t.Setenv("CLUSTER", "current")
	t.Setenv("IMG", "registry.example/understudy:v1")
	dir := t.TempDir()
	config := dir + "/config"
	writeFile(t, config, "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]\n"+
		"contexts: [{name: precious, context: {cluster: c}}]\ncurrent-context: precious\n")
	writeFile(t, dir+"/kubectl", "#!/bin/sh\necho must not be called >&2\nexit 9\n")
	t.Setenv("KUBECONFIG", config)
	t.Setenv("PATH", dir)
	for _, answer := range []string{"", "\n", "y\n", "no\n"} {
		for name, act := range map[string]func(context.Context, io.Reader, io.Writer) error{"demo": up, "down": down} {
			var out strings.Builder
			err := act(t.Context(), strings.NewReader(answer), &out)
			if err == nil || err.Error() != "nothing was done" || !strings.Contains(out.String(), "precious") {
				t.Errorf("%s, answer %q: %v\n%s", name, answer, err, out.String())
			}
		}
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

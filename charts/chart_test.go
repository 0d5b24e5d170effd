// Package charts checks the chart against the plain manifests in config: both install the same operator
// with the same rights.
package charts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDeserializer()
}

// decode reads a stream of documents strictly: an unknown field or a wrong type fails the test.
func decode(t *testing.T, source string, data []byte) []runtime.Object {
	t.Helper()
	d := decoder(t)
	var out []runtime.Object
	for i, doc := range bytes.Split(append([]byte("\n"), data...), []byte("\n---")) {
		if len(bytes.TrimSpace(stripComments(doc))) == 0 {
			continue
		}
		if bytes.Contains(doc, []byte("monitoring.coreos.com/v1")) {
			continue // not a type of Kubernetes itself
		}
		obj, _, err := d.Decode(doc, nil, nil)
		if err != nil {
			t.Errorf("%s, document %d: %v\n%s", source, i, err, doc)
			continue
		}
		out = append(out, obj)
	}
	return out
}

func stripComments(doc []byte) []byte {
	var out []byte
	for _, line := range bytes.Split(doc, []byte("\n")) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

func helm(t *testing.T, args ...string) []byte {
	t.Helper()
	bin, err := filepath.Abs("../bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		if bin, err = exec.LookPath("helm"); err != nil {
			t.Skip("NOT RUN: helm is missing: make bin/helm builds the pinned one")
		}
	}
	var stderr bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func template(t *testing.T, sets ...string) []runtime.Object {
	t.Helper()
	args := []string{"template", "understudy-operator", "understudy", "--namespace", "understudy-system", "--kube-version", "1.37.1"}
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	return decode(t, "helm template", helm(t, args...))
}

func plain(t *testing.T, dirs ...string) []runtime.Object {
	t.Helper()
	var out []runtime.Object
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join("../config", dir, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no manifests in config/%s: %v", dir, err)
		}
		for _, f := range files {
			if filepath.Base(f) == "kustomization.yaml" {
				continue
			}
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, decode(t, f, data)...)
		}
	}
	return out
}

// rules gives what each role allows, by the role's last word (operator, leader, view, edit).
func rules(objs []runtime.Object) map[string][]rbacv1.PolicyRule {
	out := map[string][]rbacv1.PolicyRule{}
	word := func(kind, name string) string { return kind + "/" + name[strings.LastIndexByte(name, '-')+1:] }
	for _, o := range objs {
		switch r := o.(type) {
		case *rbacv1.ClusterRole:
			out[word("ClusterRole", r.Name)] = r.Rules
		case *rbacv1.Role:
			out[word("Role", r.Name)] = r.Rules
		}
	}
	return out
}

func TestChartAndConfigGiveTheSameRights(t *testing.T) {
	chart, config := rules(template(t)), rules(plain(t, "rbac"))
	if len(config) != 4 {
		t.Fatalf("config/rbac has roles %v", config)
	}
	for name, want := range config {
		if got, ok := chart[name]; !ok {
			t.Errorf("the chart lacks %s", name)
		} else if !sameRules(got, want) {
			t.Errorf("%s differs:\nchart  %v\nconfig %v", name, got, want)
		}
	}
	if len(chart) != len(config) {
		t.Errorf("the chart has more roles than config: %v", chart)
	}
}

// sameRules compares by the single permissions, so that grouping does not matter.
func sameRules(a, b []rbacv1.PolicyRule) bool {
	flat := func(rules []rbacv1.PolicyRule) map[string]bool {
		m := map[string]bool{}
		for _, r := range rules {
			for _, g := range r.APIGroups {
				for _, res := range r.Resources {
					for _, v := range r.Verbs {
						m[fmt.Sprint(g, res, v, r.ResourceNames)] = true
					}
				}
			}
		}
		return m
	}
	return reflect.DeepEqual(flat(a), flat(b))
}

func TestLeastPrivilege(t *testing.T) {
	for name, rs := range rules(plain(t, "rbac")) {
		for _, r := range rs {
			for _, v := range append(append(r.Verbs, r.Resources...), r.APIGroups...) {
				if strings.Contains(v, "*") {
					t.Errorf("%s has a wildcard: %v", name, r)
				}
			}
			for _, res := range r.Resources {
				if res != "secrets" {
					continue
				}
				for _, v := range r.Verbs {
					if v == "list" || v == "watch" || v == "delete" {
						t.Errorf("%s may %s secrets: they are read and made by name only", name, v)
					}
				}
			}
		}
	}
}

// TestTheCopiesAreFresh: the chart carries copies that `make generate` writes.
func TestTheCopiesAreFresh(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if read("understudy/files/crd.yaml") != read("../config/crd/bases/understudy.dev_replicasets.yaml") {
		t.Error("files/crd.yaml is stale: make generate")
	}
	for copied, source := range map[string]string{"role-rules.yaml": "role.yaml", "leader-rules.yaml": "leader_election_role.yaml"} {
		if !strings.HasSuffix(read("../config/rbac/"+source), read("understudy/files/"+copied)) {
			t.Errorf("files/%s is stale: make generate", copied)
		}
	}
}

func TestEveryTogglePassesStrictDecoding(t *testing.T) {
	for _, sets := range [][]string{nil, {"networkPolicy.enabled=true", "podMonitor.enabled=true"}, {"crds.install=false", "replicas=1"}, {"rbac.create=false", "serviceAccount.create=false", "serviceAccount.name=mine"},
		{"watchNamespaces={a,b}", "image.tag=x", "nodeSelector.a=b", "podLabels.a=b", "imagePullSecrets[0].name=s", "priorityClassName=p"}} {
		objs := template(t, sets...)
		hasCRD := false
		for _, o := range objs {
			if crd, ok := o.(*apiextensionsv1.CustomResourceDefinition); ok {
				hasCRD = true
				if crd.Annotations["helm.sh/resource-policy"] != "keep" {
					t.Error("uninstalling would delete the CRD and with it every set")
				}
			}
		}
		if want := len(sets) == 0 || sets[0] != "crds.install=false"; hasCRD != want {
			t.Errorf("%v: CRD rendered %v, want %v", sets, hasCRD, want)
		}
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	helm(t, "version") // skips where helm is missing
	bin := "../bin/helm"
	if _, err := os.Stat(bin); err != nil {
		bin = "helm"
	}
	for _, set := range []string{"replicas=0", "serviceRouting=dns", "typo=1", "image.repository="} {
		out, err := exec.Command(bin, "template", "x", "understudy", "--kube-version", "1.37.1", "--set", set).CombinedOutput()
		if err == nil {
			t.Errorf("--set %s was accepted:\n%.200s", set, out)
		}
	}
}

// TestRestricted checks the operator's pods against the restricted pod security standard, in both
// installs, and that two run.
func TestRestricted(t *testing.T) {
	for where, objs := range map[string][]runtime.Object{"chart": template(t), "config": plain(t, "manager")} {
		found := false
		for _, o := range objs {
			d, ok := o.(*appsv1.Deployment)
			if !ok {
				continue
			}
			found = true
			if *d.Spec.Replicas != 2 {
				t.Errorf("%s: %d replicas", where, *d.Spec.Replicas)
			}
			if err := restricted(d.Spec.Template.Spec); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			if !strings.Contains(strings.Join(d.Spec.Template.Spec.Containers[0].Args, " "), "--leader-elect") {
				t.Errorf("%s: two operators without leader election", where)
			}
		}
		if !found {
			t.Errorf("%s has no Deployment", where)
		}
	}
}

func restricted(p corev1.PodSpec) error {
	if p.SecurityContext == nil || p.SecurityContext.RunAsNonRoot == nil || !*p.SecurityContext.RunAsNonRoot ||
		p.SecurityContext.SeccompProfile == nil || p.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		return fmt.Errorf("pod security context %+v", p.SecurityContext)
	}
	for _, c := range p.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.Capabilities == nil || !reflect.DeepEqual(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			return fmt.Errorf("container %s: security context %+v", c.Name, s)
		}
	}
	return nil
}

func TestPlainManifestsDecodeStrictly(t *testing.T) {
	if n := len(plain(t, "crd/bases", "rbac", "manager", "networkpolicy", "prometheus")); n < 9 {
		t.Errorf("only %d objects", n)
	}
	files, err := filepath.Glob("../config/*/kustomization.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("kustomizations %v %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var k struct{ Resources []string }
		if err := yaml.Unmarshal(data, &k); err != nil {
			t.Fatal(err)
		}
		for _, r := range k.Resources {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), r)); err != nil {
				t.Errorf("%s names %s: %v", f, r, err)
			}
		}
	}
}

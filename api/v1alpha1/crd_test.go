package v1alpha1_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

const crdFile = "../../config/crd/bases/understudy.dev_replicasets.yaml"

// schema judges objects as the API server would, with the API server's own code and without one.
type schema struct {
	crd        *apiextensions.CustomResourceDefinition
	structural *structuralschema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

func loadSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatalf("%v: run make manifests", err)
	}
	var v1crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &v1crd); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1crd.Spec)
	crd := new(apiextensions.CustomResourceDefinition)
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1crd, crd, nil); err != nil {
		t.Fatal(err)
	}
	// One version: the conversion hoists its schema and columns to the top of the spec.
	props := crd.Spec.Validation
	if props == nil {
		props = crd.Spec.Versions[0].Schema
	}
	s := &schema{crd: crd}
	if s.structural, err = structuralschema.NewStructural(props.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	if s.values, _, err = validation.NewSchemaValidator(props.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s
}

func (s *schema) parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var obj map[string]any
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(data, &obj) // whole numbers stay whole, as in the API server
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	defaulting.Default(obj, s.structural)
	return obj
}

// judge returns what the API server would say to a create (old nil) or an update, one text per error.
func (s *schema) judge(obj, old map[string]any) string {
	errs := validation.ValidateCustomResource(nil, obj, s.values)
	var oldAny any
	if old != nil {
		oldAny = old
	}
	celErrs, _ := s.rules.Validate(context.Background(), nil, s.structural, obj, oldAny, celconfig.RuntimeCELCostBudget)
	var out []string
	for _, e := range append(errs, celErrs...) {
		out = append(out, e.Error())
	}
	return strings.Join(out, "\n")
}

func set(name, spec string) string {
	text := "apiVersion: understudy.dev/v1alpha1\nkind: ReplicaSet\nmetadata: {name: " + name + "}\n"
	if spec == "" {
		return text
	}
	return text + "spec:\n  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + "\n"
}

// TestTheDefinitionIsAccepted runs the API server's own check of the definition, the estimated cost of
// every CEL rule included.
func TestTheDefinitionIsAccepted(t *testing.T) {
	s := loadSchema(t)
	for _, e := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), s.crd) {
		if e.Field == "status.storedVersions" { // the API server fills it on create
			continue
		}
		t.Error(e)
	}
}

func TestDefaultsAreWrittenInTheDefinition(t *testing.T) {
	s := loadSchema(t)
	obj := s.parse(t, set("orders", ""))
	if said := s.judge(obj, nil); said != "" {
		t.Fatalf("an empty spec must be enough, got %s", said)
	}
	delete(obj, "status")
	got, err := yaml.Marshal(obj["spec"])
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/defaults.yaml")
	if os.Getenv("REWRITE") != "" {
		err = os.WriteFile("testdata/defaults.yaml", got, 0o644)
		want = got
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the defaults changed (REWRITE=1 rewrites testdata/defaults.yaml):\n%s", got)
	}
	var typed v1alpha1.ReplicaSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, &typed); err != nil {
		t.Fatal(err)
	}
	if typed.Spec.Members != 3 || typed.Spec.Persistence.Mode != v1alpha1.PersistenceRDB || typed.Spec.Failover.LeaseDuration.Seconds() != 2 {
		t.Errorf("the Go type reads other defaults than the definition writes: %+v", typed.Spec)
	}
}

func TestRefusals(t *testing.T) {
	s := loadSchema(t)
	long := strings.Repeat("a", 53)
	for _, c := range []struct{ what, name, spec, want string }{
		{"a long name", long, "", "at most 52"},
		{"a name with a dot", "a.b", "", "begin with a letter"},
		{"a name with a digit first", "1a", "", "begin with a letter"},
		{"no members", "a", "members: 0", "greater than or equal to 1"},
		{"replicas-to-write not below members", "a", "members: 2\nreplication: {minReplicasToWrite: 2}", "below members"},
		{"a foreign master", "orders", "master: other-1", "must name a member"},
		{"a master without index", "orders", "master: orders-x", "must name a member"},
		{"a Tree without fan-out", "a", "topology: {shape: Tree}", "needs fanOut"},
		{"a Star with fan-out", "a", "topology: {shape: Star, fanOut: 2}", "belongs to"},
		{"an unknown mode of persistence", "a", "persistence: {mode: Tape}", "Unsupported value"},
		{"synchronous replicas not below members", "a", "members: 3\nreplication: {synchronousReplicas: 3}", "must be below members"},
		{"synchronous replicas as a directive", "a", "config: {synchronous-replicas: '1'}", "use spec.replication"},
		{"an outside master", "a", "replicaOf: {host: h}", "not yet supported"},
		{"replicas of a lone master", "a", "members: 1\npersistence: {by: Replicas}", "at least two members"},
		{"a short lease", "a", "failover: {leaseDuration: 100ms}", "between 500ms and 60s"},
		{"a lease that is no duration", "a", "failover: {leaseDuration: soon}", "should match"},
		{"an unknown shape", "a", "topology: {shape: Ring}", "Unsupported value"},
		{"a negative size", "a", "persistence: {storage: {size: -1Gi}}", "must be positive"},
		{"a negative disk backlog", "a", "replication: {diskBacklogSize: -1Gi}", "must not be negative"},
		{"a save that is no pair", "a", "persistence: {save: '60'}", "should match"},
		{"an upper-case directive", "a", "config: {Port: '1'}", "lower case"},
		{"a line break in a directive", "a", "config: {maxmemory-policy: \"x\\nport 1\"}", "should match"},
		{"a renamed AUTH", "a", "renameCommands: {Auth: x}", "cannot be renamed"},
		{"a label of ours", "a", "template: {labels: {understudy.dev/role: master}}", "are the operator's"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if said := s.judge(s.parse(t, set(c.name, c.spec)), nil); !strings.Contains(said, c.want) {
				t.Errorf("want a refusal with %q, got %q", c.want, said)
			}
		})
	}
}

func TestOwnedDirectivesAreRefused(t *testing.T) {
	s := loadSchema(t)
	owned := strings.Fields(`port bind dir dbfilename unixsocket logfile daemonize include loadmodule aclfile user rename-command
		slaveof replicaof masterauth masteruser requirepass replica-read-only slave-read-only replica-announce-ip slave-announce-port
		tls-port tls-cert-file management-addr cluster-enabled
		min-replicas-to-write min-slaves-to-write min-replicas-max-lag repl-backlog-size replica-serve-stale-data slave-serve-stale-data
		save appendonly`)
	for _, d := range owned {
		if said := s.judge(s.parse(t, set("a", "config: {"+d+": '1'}")), nil); said == "" {
			t.Errorf("config: {%s: ...} was accepted", d)
		}
	}
	for _, d := range strings.Fields("maxmemory maxmemory-policy hz timeout tcp-keepalive repl-timeout list-max-listpack-size enable-debug-command repl-diskless-sync-delay") {
		if said := s.judge(s.parse(t, set("a", "config: {"+d+": '1'}")), nil); said != "" {
			t.Errorf("config: {%s: ...} is the user's, but was refused: %s", d, said)
		}
	}
}

func TestChanges(t *testing.T) {
	s := loadSchema(t)
	for _, c := range []struct{ what, from, to, want string }{
		{"storage grows", "persistence: {storage: {size: 1Gi}}", "persistence: {storage: {size: 2048Mi}}", ""},
		{"storage shrinks", "persistence: {storage: {size: 1Gi}}", "persistence: {storage: {size: 1023Mi}}", "cannot shrink"},
		{"another class", "persistence: {storage: {className: a}}", "persistence: {storage: {className: b}}", "cannot change"},
		{"persistence off with replicas", "members: 3", "members: 3\npersistence: {mode: None}", ""},
		{"persistence off in a lone member", "members: 1", "members: 1\npersistence: {mode: None}", "cannot change in a set of one"},
		{"persistence on in a lone member", "members: 1\npersistence: {mode: None}", "members: 1", "cannot change in a set of one"},
		{"persistence off while scaling", "members: 3", "members: 2\npersistence: {mode: None}", "two steps"},
		{"scale up", "members: 1", "members: 5", ""},
		{"scale down below replicas-to-write", "members: 3\nreplication: {minReplicasToWrite: 2}", "members: 2\nreplication: {minReplicasToWrite: 2}", "below members"},
	} {
		t.Run(c.what, func(t *testing.T) {
			old, obj := s.parse(t, set("orders", c.from)), s.parse(t, set("orders", c.to))
			if said := s.judge(old, nil); said != "" {
				t.Fatalf("the old object is not valid: %s", said)
			}
			said := s.judge(obj, old)
			if c.want == "" && said != "" || c.want != "" && !strings.Contains(said, c.want) {
				t.Errorf("want %q, got %q", c.want, said)
			}
		})
	}
}

func TestColumnsScaleAndShortName(t *testing.T) {
	s := loadSchema(t)
	cols := s.crd.Spec.AdditionalPrinterColumns
	var names []string
	for _, c := range cols {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, ","); got != "Master,In Sync,Term,Ready,Condition,Age" {
		t.Errorf("columns %s", got)
	}
	if got := s.crd.Spec.Names.ShortNames; len(got) != 1 || got[0] != "urs" {
		t.Errorf("short names %v", got)
	}
	sub := s.crd.Spec.Subresources
	if sub == nil || sub.Status == nil || sub.Scale == nil || sub.Scale.SpecReplicasPath != ".spec.members" {
		t.Errorf("subresources %+v", sub)
	}
}

func TestSamplesAreValid(t *testing.T) {
	s := loadSchema(t)
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sets := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(data), "\n---\n") {
			if !strings.Contains(doc, "kind: ReplicaSet") {
				continue
			}
			sets++
			obj := s.parse(t, doc)
			if said := s.judge(obj, nil); said != "" {
				t.Errorf("%s: %s", f, said)
			}
			var typed v1alpha1.ReplicaSet
			if err := yaml.UnmarshalStrict([]byte(doc), &typed); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
	if sets < 3 {
		t.Errorf("%d sets in the samples", sets)
	}
}

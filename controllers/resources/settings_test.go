package resources

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/server/settings"
)

// TestTheServerTakesTheFile loads what the operator writes with the server's own parser.
func TestTheServerTakesTheFile(t *testing.T) {
	for what, rs := range map[string]*v1alpha1.ReplicaSet{"default": sample(), "memory-only": sample(memoryOnly), "full": sample(full)} {
		s := settings.New()
		if err := s.LoadText("server.conf", ServerConf(rs)); err != nil {
			t.Errorf("%s: %v\n%s", what, err, ServerConf(rs))
			continue
		}
		for name, want := range Directives(rs) {
			if d := settings.Lookup(name); d == nil {
				t.Errorf("%s: the server does not know %s", what, name)
			}
			if name == "databases" || name == "maxmemory-policy" {
				if got := s.Value(name); got != want {
					t.Errorf("%s: %s is %q, want %q", what, name, got, want)
				}
			}
		}
	}
}

// TestChangeableIsWhatTheServerChanges: a directive that the server fixes at its start must be part of
// the revision, or a change of it would never take hold; one that it does change must not, or a change
// would restart everything.
func TestChangeableIsWhatTheServerChanges(t *testing.T) {
	for _, d := range settings.Directives() {
		if ownedDirective(d.Name) {
			continue
		}
		if d.Immutable() != fixedDirectives[d.Name] {
			t.Errorf("%s: the server says immutable %v, the operator says fixed %v", d.Name, d.Immutable(), fixedDirectives[d.Name])
		}
	}
}

// ownedDirective is true for those that the CRD does not let through.
func ownedDirective(name string) bool {
	for _, prefix := range []string{"tls-", "management-", "cluster-", "min-slaves-", "min-replicas-", "slave-announce-", "replica-announce-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, o := range strings.Fields(`port bind bind-source-addr unixsocket unixsocketperm protected-mode dir dbfilename daemonize supervised pidfile
		logfile include loadmodule aclfile user rename-command set-uid pod-uid pod-name managed supervise data-dir state-dir password-file http-addr primary-port
		slaveof replicaof masterauth masteruser requirepass save appendonly appendfilename appenddirname`) {
		if name == o {
			return true
		}
	}
	return false
}

// TestDiskBacklogFitsTheClaim: what is asked for, but never more than a quarter of the claim, and nothing without one.
func TestDiskBacklogFitsTheClaim(t *testing.T) {
	for _, c := range []struct{ asked, storage, want string }{
		{"1Gi", "1Gi", "268435456"}, // the defaults
		{"1Gi", "4Gi", "1073741824"},
		{"1Gi", "100Gi", "1073741824"},
		{"0", "100Gi", "0"},
		{"50Gi", "100Gi", "26843545600"},
	} {
		rs := sample()
		rs.Spec.Replication.DiskBacklogSize = resource.MustParse(c.asked)
		rs.Spec.Persistence.Storage.Size = resource.MustParse(c.storage)
		s := settings.New()
		if err := s.LoadText("server.conf", ServerConf(rs)); err != nil {
			t.Fatal(err)
		}
		if got := s.Value("repl-disk-backlog-size"); got != c.want {
			t.Errorf("%s of a claim of %s: %s, want %s", c.asked, c.storage, got, c.want)
		}
		memoryOnly(rs)
		if got := Changeable(rs)["repl-disk-backlog-size"]; got != "0" {
			t.Errorf("without storage: %q", got)
		}
	}
}

func TestMemoryLimits(t *testing.T) {
	rs := sample(full)
	limit := rs.Spec.Template.Resources.Limits[corev1.ResourceMemory]
	s := settings.New()
	if err := s.LoadText("server.conf", ServerConf(rs)); err != nil {
		t.Fatal(err)
	}
	if got := s.Value("maxmemory"); got == "0" || got == "" {
		t.Errorf("maxmemory %q although the container is limited to %s", got, limit.String())
	}
}

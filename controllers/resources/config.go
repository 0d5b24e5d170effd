package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// fixedDirectives can be set in the file only: changing one takes a restart. The list is Redis 7.0's
// (config.c, IMMUTABLE_CONFIG), without those that the resource does not let through; a test compares
// it with the server's own table.
var fixedDirectives = map[string]bool{
	"always-show-logo": true, "aof_rewrite_cpulist": true, "bgsave_cpulist": true, "bio_cpulist": true,
	"server_cpulist": true, "rdbchecksum": true, "databases": true, "disable-thp": true, "enable-debug-command": true, "enable-module-command": true,
	"enable-protected-configs": true, "io-threads": true, "io-threads-do-reads": true, "lua-replicate-commands": true,
	"lua-enable-deprecated-api": true,
	"set-proc-title":            true, "syslog-enabled": true, "syslog-facility": true, "syslog-ident": true, "ack-log": true, "tcp-backlog": true, "socket-mark-id": true,
}

// Directives are the settings of a set by name: what the resource says in its fields, then the free
// ones of spec.config. The password is not among them.
func Directives(rs *v1alpha1.ReplicaSet) map[string]string {
	r, p := rs.Spec.Replication, rs.Spec.Persistence
	d := map[string]string{
		"appendonly": "no",
		// A member that lost its memory is needed again at once; there are too few to wait for company.
		"repl-diskless-sync-delay": "0",
		"save":                     "",
		"repl-backlog-size":        strconv.FormatInt(r.BacklogSize.Value(), 10),
		"repl-disk-backlog-size":   strconv.FormatInt(diskBacklog(rs), 10),
		"min-replicas-to-write":    strconv.Itoa(int(r.MinReplicasToWrite)),
		"min-replicas-max-lag":     strconv.Itoa(int(r.MinReplicasMaxLag.Seconds())),
		"replica-serve-stale-data": yesNo(r.ServeStaleData == nil || *r.ServeStaleData),
	}
	if p.Mode == v1alpha1.PersistenceRDB || p.Mode == v1alpha1.PersistenceRDBAndAOF || p.Mode == "" {
		d["save"] = p.Save
	}
	if p.Mode == v1alpha1.PersistenceAOF || p.Mode == v1alpha1.PersistenceRDBAndAOF {
		d["appendonly"] = "yes"
	}
	if limit, ok := rs.Spec.Template.Resources.Limits[corev1.ResourceMemory]; ok {
		d["maxmemory"] = strconv.FormatInt(maxMemory(limit.Value(), r.BacklogSize.Value()), 10)
	}
	for k, v := range rs.Spec.Config {
		d[k] = string(v)
	}
	return d
}

// Changeable are the directives that a running server takes over (CONFIG SET).
func Changeable(rs *v1alpha1.ReplicaSet) map[string]string {
	d := Directives(rs)
	maps.DeleteFunc(d, func(k, _ string) bool { return fixedDirectives[k] })
	return d
}

func fixed(rs *v1alpha1.ReplicaSet) map[string]string {
	d := Directives(rs)
	maps.DeleteFunc(d, func(k, _ string) bool { return !fixedDirectives[k] })
	return d
}

// diskBacklog is how many bytes of the stream a member may keep on its claim. The claim is there for the data set: a file
// that is being rewritten beside the old one and its increments must find room, so the stream gets a quarter at most.
func diskBacklog(rs *v1alpha1.ReplicaSet) int64 {
	if !Persists(rs) {
		return 0 // /data is the node's disk, which is not the set's to fill
	}
	size := rs.Spec.Persistence.Storage.Size
	return min(rs.Spec.Replication.DiskBacklogSize.Value(), size.Value()/4)
}

// maxMemory leaves room in a container for the backlog, for client buffers and for the pre-images of a
// snapshot: three quarters of what the backlog leaves, at least half of the limit.
func maxMemory(limit, backlog int64) int64 { return max((limit-backlog)/4*3, limit/2) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// ServerConf is the file that a member starts with.
func ServerConf(rs *v1alpha1.ReplicaSet) string {
	var b strings.Builder
	b.WriteString("# Written by the operator from the ReplicaSet; changes here are overwritten.\n")
	fmt.Fprintf(&b, "port %d\n", PortRedis)
	d := Directives(rs)
	for _, k := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintf(&b, "%s %s\n", k, confValue(d[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(rs.Spec.RenameCommands)) {
		fmt.Fprintf(&b, "rename-command %s %s\n", k, quote(string(rs.Spec.RenameCommands[k])))
	}
	return b.String()
}

// confValue writes a value for the file. Several values of one directive (save, client-output-buffer-limit)
// are separate arguments there; a value with a quote in it is the user's own quoting.
func confValue(v string) string {
	if v == "" {
		return `""`
	}
	return v
}

func quote(s string) string { return `"` + s + `"` }

// ConfigMap holds the file.
func ConfigMap(rs *v1alpha1.ReplicaSet) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: owned(rs, ConfigName(rs.Name)),
		Data: map[string]string{configFile: ServerConf(rs)}}
}

// Revision is the digest of everything in a pod that only a restart can change. Scheduling wishes
// (affinity, tolerations, node selector, spread) are not part of it: they bind new pods only.
func Revision(rs *v1alpha1.ReplicaSet, env Env) string {
	spec := podSpec(rs, env)
	spec.Affinity, spec.Tolerations, spec.NodeSelector, spec.TopologySpreadConstraints = nil, nil, nil, nil
	spec.TerminationGracePeriodSeconds = nil
	return digest(struct {
		Pod      corev1.PodSpec
		Fixed    map[string]string
		Rename   map[string]v1alpha1.CommandName
		Persists bool
		Auth     string
	}{spec, fixed(rs), rs.Spec.RenameCommands, Persists(rs), AuthSecretName(rs)})
}

// ConfigVersion is the digest of the changeable directives.
func ConfigVersion(rs *v1alpha1.ReplicaSet) string { return digest(Changeable(rs)) }

func digest(v any) string {
	data, err := json.Marshal(v) // maps are written in key order
	if err != nil {
		panic(fmt.Sprintf("digest of %T: %v", v, err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

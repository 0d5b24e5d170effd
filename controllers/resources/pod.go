package resources

import (
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/understudy-db/understudy/api/v1alpha1"
)

// ContainerName is the one container of a member's pod.
const ContainerName = "server"

const (
	configDir   = "/etc/understudy"
	tlsDir      = "/etc/understudy/tls"
	authDir     = "/etc/understudy/auth"
	dataDir     = "/data"
	stateDir    = "/run/understudy"
	configFile  = "server.conf"
	passwordKey = "password"
)

// Pod is the pod of a member. It is owned by the set directly, so that any member can be replaced alone.
func Pod(rs *v1alpha1.ReplicaSet, env Env, name string) *corev1.Pod {
	t := rs.Spec.Template
	annotations := maps.Clone(t.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationRevision] = Revision(rs, env)
	annotations[AnnotationPersists] = fmt.Sprint(Persists(rs))
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: rs.Namespace, Labels: MemberLabels(rs, name), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{OwnerRef(rs)}},
		Spec: podSpec(rs, env),
	}
	pod.Spec.Hostname = name
	pod.Spec.Subdomain = HeadlessName(rs.Name)
	pod.Spec.Volumes = volumes(rs, name)
	return pod
}

// podSpec is the part of the pod that is the same for every member: what the revision is made from.
func podSpec(rs *v1alpha1.ReplicaSet, env Env) corev1.PodSpec {
	t := rs.Spec.Template
	return corev1.PodSpec{
		Containers:                    []corev1.Container{container(rs, env)},
		RestartPolicy:                 restartPolicy(rs),
		TerminationGracePeriodSeconds: t.TerminationGracePeriodSeconds,
		AutomountServiceAccountToken:  ptr(false),
		EnableServiceLinks:            ptr(false),
		NodeSelector:                  t.NodeSelector,
		Affinity:                      t.Affinity,
		Tolerations:                   t.Tolerations,
		TopologySpreadConstraints:     spread(rs),
		PriorityClassName:             t.PriorityClassName,
		ImagePullSecrets:              t.ImagePullSecrets,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:        ptr(true),
			RunAsUser:           ptr(User),
			RunAsGroup:          ptr(User),
			FSGroup:             ptr(User),
			FSGroupChangePolicy: ptr(corev1.FSGroupChangeOnRootMismatch),
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// restartPolicy keeps S4: where a master may hold the only copy in memory, the kubelet must not start
// it again before another member has been promoted.
func restartPolicy(rs *v1alpha1.ReplicaSet) corev1.RestartPolicy {
	if MemoryOnlyMaster(rs) {
		return corev1.RestartPolicyNever
	}
	return corev1.RestartPolicyAlways
}

// Persists tells whether the members keep their data on a claim.
func Persists(rs *v1alpha1.ReplicaSet) bool {
	return rs.Spec.Persistence.Mode != v1alpha1.PersistenceNone
}

// MemoryOnlyMaster tells whether a master of this set may have its data in memory only.
func MemoryOnlyMaster(rs *v1alpha1.ReplicaSet) bool {
	return !Persists(rs) || rs.Spec.Persistence.By == v1alpha1.PersistByReplicas
}

func spread(rs *v1alpha1.ReplicaSet) []corev1.TopologySpreadConstraint {
	t := rs.Spec.Template
	if len(t.TopologySpreadConstraints) > 0 || t.Affinity != nil {
		return t.TopologySpreadConstraints
	}
	return []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: PodSelector(rs)},
	}}
}

func container(rs *v1alpha1.ReplicaSet, env Env) corev1.Container {
	return corev1.Container{
		Name:            ContainerName,
		Image:           env.Image,
		ImagePullPolicy: rs.Spec.Template.ImagePullPolicy,
		Command:         []string{"/understudy-server"},
		Args: []string{"--supervise", "--config", configDir + "/" + configFile, "--managed",
			"--set-uid", string(rs.UID), "--pod-uid", "$(POD_UID)", "--pod-name", "$(POD_NAME)",
			"--management-addr", fmt.Sprintf(":%d", PortManagement), "--management-cert-dir", tlsDir,
			"--http-addr", fmt.Sprintf(":%d", PortHTTP), "--primary-port", strconv.Itoa(PortPrimary),
			"--password-file", authDir + "/" + passwordKey,
			"--data-dir", dataDir, "--state-dir", stateDir},
		Env: environment(rs),
		Ports: []corev1.ContainerPort{
			{Name: "redis", ContainerPort: PortRedis, Protocol: corev1.ProtocolTCP},
			{Name: primaryName, ContainerPort: PortPrimary, Protocol: corev1.ProtocolTCP},
			{Name: "management", ContainerPort: PortManagement, Protocol: corev1.ProtocolTCP},
			{Name: "http", ContainerPort: PortHTTP, Protocol: corev1.ProtocolTCP},
		},
		Resources:      rs.Spec.Template.Resources,
		LivenessProbe:  probe("/livez", 10, 3),
		ReadinessProbe: probe("/readyz", 2, 2),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			RunAsNonRoot:             ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: configDir + "/" + configFile, SubPath: configFile, ReadOnly: true},
			{Name: "tls", MountPath: tlsDir, ReadOnly: true},
			{Name: "auth", MountPath: authDir, ReadOnly: true},
			{Name: "data", MountPath: dataDir},
			{Name: "state", MountPath: stateDir},
		},
	}
}

const primaryName = "primary"

// HasPrimary tells whether a pod has a primary port: one that an earlier operator made may have none.
func HasPrimary(p *corev1.Pod) bool {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if c.Name == ContainerName && port.Name == primaryName {
				return true
			}
		}
	}
	return false
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 5,
	}
}

func environment(rs *v1alpha1.ReplicaSet) []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	env := []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_UID", "metadata.uid"), field("POD_IP", "status.podIP")}
	if limit, ok := rs.Spec.Template.Resources.Limits[corev1.ResourceMemory]; ok {
		env = append(env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: fmt.Sprintf("%dB", limit.Value()/10*9)})
	}
	return env
}

func volumes(rs *v1alpha1.ReplicaSet, member string) []corev1.Volume {
	secret := func(name, secret string, items ...corev1.KeyToPath) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: ptr(int32(0o440)), Items: items}}}
	}
	data := corev1.Volume{Name: "data"}
	if Persists(rs) {
		data.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: ClaimName(member)}
	} else {
		data.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	return []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: ConfigName(rs.Name)}, DefaultMode: ptr(int32(0o444))}}},
		secret("tls", TLSSecretName(member)),
		secret("auth", AuthSecretName(rs), corev1.KeyToPath{Key: passwordKey, Path: passwordKey}),
		data,
		{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr(resource.MustParse("64Mi"))}}},
	}
}

// Claim is a member's claim, nil for a set without persistence. A retained claim has no owner, so that
// it survives the set and is adopted by the next one of the same name.
func Claim(rs *v1alpha1.ReplicaSet, member string) *corev1.PersistentVolumeClaim {
	if !Persists(rs) {
		return nil
	}
	s := rs.Spec.Persistence.Storage
	labels := SetLabels(rs)
	labels[LabelMember] = member
	c := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: ClaimName(member), Namespace: rs.Namespace, Labels: labels},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: s.Size}},
		},
	}
	if s.ClassName != "" {
		c.Spec.StorageClassName = ptr(s.ClassName)
	}
	if s.WhenDeleted == v1alpha1.Delete {
		c.OwnerReferences = []metav1.OwnerReference{OwnerRef(rs)}
	}
	return c
}

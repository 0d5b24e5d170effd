package setup

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/memberclient"
	"github.com/understudy-db/understudy/controllers/replicaset"
	"github.com/understudy-db/understudy/controllers/resources"
)

// LeaseName is the leader's lease. The operator's role names it.
const LeaseName = "understudy-operator"

// OperatorLabels select the operator's pods in both installs.
var OperatorLabels = map[string]string{"app.kubernetes.io/name": "understudy-operator"}

// Scheme knows every type that the operator reads or writes.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Manager assembles the operator.
func Manager(config *rest.Config, o Options) (ctrl.Manager, error) {
	log := logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.LogLevel}))
	ctrl.SetLogger(log)
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	// Failovers come in bursts; the server's own fairness is the limit, not ours.
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 200, 400
	clock := memberclient.BootTime
	options := ctrl.Options{
		Scheme: scheme, Logger: log,
		Cache:                         cacheOptions(o),
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:        o.ProbeAddr,
		LeaderElection:                o.LeaderElect,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       ptr(2 * time.Second),
		LeaseDuration:                 ptr(LeaseDuration), RenewDeadline: ptr(RenewDeadline), RetryPeriod: ptr(RetryPeriod),
	}
	var leads memberclient.Leadership = Alone{Name: identity(), Start: clock()}
	if o.LeaderElect {
		lock, err := leaseLock(config, o.Namespace)
		if err != nil {
			return nil, err
		}
		l := NewLeadership(lock, clock)
		options.LeaderElectionResourceLockInterface, leads = l, l
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, err
	}
	env := resources.Env{Image: o.ServerImage, Routing: o.Routing, ClusterDomain: o.ClusterDomain, OperatorLabels: OperatorLabels}
	if err := replicaset.Add(mgr, replicaset.Options{Env: env, Leadership: leads, Clock: clock, Workers: o.Workers, Name: o.ControllerName}); err != nil {
		return nil, err
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}

// leaseLock has a client of its own, so that a burst of other requests never delays a renewal.
func leaseLock(config *rest.Config, namespace string) (resourcelock.Interface, error) {
	config = rest.CopyConfig(config)
	config.Timeout = RenewDeadline / 2
	config.RateLimiter = nil
	set, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "leader-election"))
	if err != nil {
		return nil, err
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: LeaseName},
		Client:     set.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity()},
	}, nil
}

// identity is unique for ever: a restarted process is another candidate.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "operator"
	}
	return fmt.Sprintf("%s_%s", host, uuid.NewUUID())
}

// cacheOptions keep only what is ours in memory.
func cacheOptions(o Options) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{resources.LabelManagedBy: resources.ManagedBy})}
	out := cache.Options{ByObject: map[client.Object]cache.ByObject{}, DefaultTransform: cache.TransformStripManagedFields()}
	for _, obj := range []client.Object{&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &corev1.Service{}, &corev1.ConfigMap{},
		&discoveryv1.EndpointSlice{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}} {
		out.ByObject[obj] = ours
	}
	if len(o.WatchNamespaces) > 0 {
		out.DefaultNamespaces = map[string]cache.Config{}
		for _, n := range o.WatchNamespaces {
			out.DefaultNamespaces[n] = cache.Config{}
		}
	}
	return out
}

func ptr[T any](v T) *T { return &v }

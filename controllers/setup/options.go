package setup

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/understudy-db/understudy/controllers/resources"
)

// Options are the operator's flags.
type Options struct {
	ServerImage     string
	Routing         resources.Routing
	ClusterDomain   string
	WatchNamespaces []string
	LeaderElect     bool
	Namespace       string // of the operator: holds the leader's lease
	MetricsAddr     string
	ProbeAddr       string
	LogLevel        slog.Level
	Workers         int
	// ControllerName tells several operators of one process apart. Tests only.
	ControllerName string
}

// Parse reads the flags.
func Parse(args []string) (Options, error) {
	var o Options
	var routing, namespaces, level string
	f := flag.NewFlagSet("understudy-operator", flag.ContinueOnError)
	f.StringVar(&o.ServerImage, "server-image", "", "image of sets that name none (required)")
	f.StringVar(&routing, "service-routing", string(resources.RoutingSlice), "how Services follow the master: slice or label")
	f.StringVar(&o.ClusterDomain, "cluster-domain", "cluster.local", "end of the DNS names in certificates")
	f.StringVar(&namespaces, "watch-namespaces", "", "comma separated; empty: all")
	f.BoolVar(&o.LeaderElect, "leader-elect", false, "let one of several operators lead; without it run one only")
	f.StringVar(&o.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the operator's namespace, for leader election")
	f.StringVar(&o.MetricsAddr, "metrics-addr", ":8080", "address of /metrics; 0 switches it off")
	f.StringVar(&o.ProbeAddr, "probe-addr", ":8081", "address of /healthz and /readyz; 0 switches it off")
	f.StringVar(&level, "log-level", "info", "debug, info or error")
	f.IntVar(&o.Workers, "workers", 16, "sets looked after at the same time")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if err := o.LogLevel.UnmarshalText([]byte(level)); err != nil {
		return o, fmt.Errorf("--log-level: %w", err)
	}
	o.Routing = resources.Routing(routing)
	if namespaces != "" {
		o.WatchNamespaces = strings.Split(namespaces, ",")
	}
	return o, o.check()
}

func (o Options) check() error {
	switch {
	case o.ServerImage == "":
		return errors.New("--server-image is required: sets without spec.image need one")
	case o.Routing != resources.RoutingSlice && o.Routing != resources.RoutingLabel:
		return fmt.Errorf("--service-routing %q: slice or label", o.Routing)
	case o.LeaderElect && o.Namespace == "":
		return errors.New("--leader-elect needs --namespace or POD_NAMESPACE")
	case o.Workers < 1:
		return fmt.Errorf("--workers %d: at least 1", o.Workers)
	}
	return nil
}

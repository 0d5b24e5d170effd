// Command kube is every program of a Kubernetes cluster in one static binary: etcd, the control plane, the node agents,
// kubectl and the cluster's volume provisioner.
//
// The programs share nearly all their code, so one binary costs a third of seven and is linked once. The program to run
// is the base name of argv[0] (the driver makes symbolic links) or the first argument. It must not change how a program
// behaves: each gets its own upstream command, untouched.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/understudy-db/understudy/hack/cluster/kube/localpath"
)

// programs maps a name to the function that runs it; none of them returns.
var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args); os.Exit(0) },
	"kube-apiserver":          func() { exec(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { exec(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { exec(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() { exec(proxy.NewProxyCommand()) },
	"kubelet":                 func() { exec(kubelet.NewKubeletCommand(context.Background())) },
	"kubectl":                 runKubectl,
	"local-path":              func() { exec(localpath.NewCommand()) },
}

func exec(c *cobra.Command) { os.Exit(cli.Run(c)) }

func runKubectl() {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	os.Exit(0)
}

func main() {
	if run, ok := programs[filepath.Base(os.Args[0])]; ok {
		run()
	}
	if len(os.Args) > 1 {
		if run, ok := programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			run()
		}
	}
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "usage: kube %s [flags]\n", strings.Join(names, "|"))
	os.Exit(2)
}

// Command cluster runs a real Kubernetes on this machine, built from Go modules, for demonstrations and end-to-end tests.
// docs/cluster.md tells how it works.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/understudy-db/understudy/hack/cluster/cluster"
	"github.com/understudy-db/understudy/hack/cluster/nodeinit"
)

const usage = `usage: go run ./hack/cluster VERB

  up [--nodes 3] [--image FILE.tar]...   build what is missing, start a cluster, wait until it is ready
  down                                   end it and remove everything it made, whatever a crash left
  status                                 processes, nodes, logs, addresses
  kubectl ARG...                         kubectl with the cluster's administrator
  kubeconfig                             print the path of the administrator's kubeconfig
  load FILE.tar...                       give images to every node
  kill-node N                            end everything on a node at once; its disk stays
  restart-node N                         start it again on the same disk and wait until it is ready
  cut-node N, heal-node N                take a node off the network, put it back; its containers go on
  block IP IP, unblock                   drop packets from the first address to the second; undo all blocks
  signal [--children] CONTAINER-ID N     signal a container's processes from outside (9; 19 stops, 18 goes on);
                                         --children spares its process 1
  node-exec N -- PROGRAM ARG...          run a program inside a node, such as ctr -n k8s.io containers ls
  assets                                 build and print a folder for KUBEBUILDER_ASSETS (envtest)

The environment variable UNDERSTUDY_CLUSTER_DIR moves the state folder.
`

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 1 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	err := command(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit): // kubectl and node-exec have said why
		return max(1, exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
}

func command(ctx context.Context, args []string) error {
	verb, args := args[0], args[1:]
	switch verb {
	case "node-init":
		return nodeinit.Run(args[0])
	case "supervise":
		d, err := cluster.New(args[1], "", os.Stdout)
		if err != nil {
			return err
		}
		return d.Supervise()
	}
	d, err := cluster.New(os.Getenv("UNDERSTUDY_CLUSTER_DIR"), sourceDir(), os.Stdout)
	if err != nil {
		return err
	}
	if f, ok := readers[verb]; ok {
		return f(ctx, d, args)
	}
	f, ok := changers[verb]
	if !ok {
		return fmt.Errorf("no verb %q; run it without any for the list", verb)
	}
	unlock, err := d.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return f(ctx, d, args)
}

type verb = func(ctx context.Context, d *cluster.Driver, args []string) error

// readers change no state of the cluster and run beside anything.
var readers = map[string]verb{
	"status": func(ctx context.Context, d *cluster.Driver, _ []string) error { return d.Status(ctx) },
	"kubectl": func(_ context.Context, d *cluster.Driver, args []string) error {
		cmd, err := d.Kubectl(args)
		if err != nil {
			return err
		}
		return cmd.Run()
	},
	"kubeconfig": func(_ context.Context, d *cluster.Driver, _ []string) error {
		path, err := d.Kubeconfig()
		if err == nil {
			fmt.Println(path)
		}
		return err
	},
	"assets": func(ctx context.Context, d *cluster.Driver, _ []string) error {
		d.Out = os.Stderr
		dir, err := d.Assets(ctx)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	},
	"leftovers": func(_ context.Context, d *cluster.Driver, _ []string) error {
		left := d.Leftovers()
		if len(left) > 0 {
			return fmt.Errorf("still there:\n  %s", strings.Join(left, "\n  "))
		}
		return nil
	},
	"signal": func(_ context.Context, d *cluster.Driver, args []string) error {
		childrenOnly := len(args) > 0 && args[0] == "--children"
		if childrenOnly {
			args = args[1:]
		}
		if err := want(args, 2, "signal [--children] CONTAINER-ID SIGNAL"); err != nil {
			return err
		}
		number, err := strconv.Atoi(args[1])
		if err != nil {
			return fmt.Errorf("signal %q is not a number", args[1])
		}
		n, err := d.Signal(args[0], syscall.Signal(number), childrenOnly)
		if err == nil && n == 0 {
			return errors.New("no process of that container lives on this machine")
		}
		return err
	},
	"node-exec": func(ctx context.Context, d *cluster.Driver, args []string) error {
		if len(args) > 1 && args[1] == "--" {
			args = append(args[:1:1], args[2:]...)
		}
		if len(args) < 2 {
			return errors.New("usage: node-exec N -- PROGRAM [ARGS]")
		}
		return d.NodeExec(ctx, args[0], args[1:], os.Stdout)
	},
}

// changers take the cluster's lock.
var changers = map[string]verb{
	"up":   up,
	"down": func(_ context.Context, d *cluster.Driver, _ []string) error { return d.Down() },
	"load": func(ctx context.Context, d *cluster.Driver, args []string) error {
		files, err := absolute(args)
		if err != nil {
			return err
		}
		return d.Load(ctx, files...)
	},
	"kill-node": func(_ context.Context, d *cluster.Driver, args []string) error {
		return one(args, "kill-node N", d.KillNode)
	},
	"restart-node": func(ctx context.Context, d *cluster.Driver, args []string) error {
		return one(args, "restart-node N", func(n string) error { return d.RestartNode(ctx, n) })
	},
	"cut-node": func(_ context.Context, d *cluster.Driver, args []string) error {
		return one(args, "cut-node N", d.CutNode)
	},
	"heal-node": func(_ context.Context, d *cluster.Driver, args []string) error {
		return one(args, "heal-node N", d.HealNode)
	},
	"block": func(_ context.Context, d *cluster.Driver, args []string) error {
		if err := want(args, 2, "block IP IP"); err != nil {
			return err
		}
		return d.Block(args[0], args[1])
	},
	"unblock": func(_ context.Context, d *cluster.Driver, _ []string) error { return d.Unblock() },
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func up(ctx context.Context, d *cluster.Driver, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	nodes := flags.Int("nodes", 3, "number of nodes")
	var images list
	flags.Var(&images, "image", "image archive for every node; may be repeated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := absolute(images)
	if err != nil {
		return err
	}
	return d.Up(ctx, cluster.UpOptions{Nodes: *nodes, Images: files})
}

func absolute(files []string) ([]string, error) {
	all := make([]string, len(files))
	for i, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(abs); err != nil {
			return nil, err
		}
		all[i] = abs
	}
	return all, nil
}

func one(args []string, use string, f func(string) error) error {
	if err := want(args, 1, use); err != nil {
		return err
	}
	return f(args[0])
}

func want(args []string, n int, use string) error {
	if len(args) != n {
		return fmt.Errorf("usage: %s", use)
	}
	return nil
}

// sourceDir is hack/cluster of the source tree, looked for upwards from the working folder.
func sourceDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		source := filepath.Join(dir, "hack", "cluster")
		if _, err := os.Stat(filepath.Join(source, "kube", "go.mod")); err == nil {
			return source
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

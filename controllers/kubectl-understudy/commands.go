package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/controllers/resources"
)

const usage = `Usage:
  kubectl understudy status NAME            how the set is: master, members, conditions, last changes
  kubectl understudy promote NAME MEMBER    make MEMBER the master (a planned switchover; waits for it)

Flags: -n NAMESPACE, --context NAME, --kubeconfig FILE, --timeout DURATION (promote)
`

// options are the flags, which may stand before or after the words.
type options struct {
	namespace, context, kubeconfig string
	timeout                        time.Duration
}

// connector makes a client and names the namespace to use.
type connector func(options) (client.Client, string, error)

func run(ctx context.Context, args []string, out io.Writer, connect connector) error {
	words, o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) || err == nil && len(words) == 0 {
		fmt.Fprint(out, usage)
		return nil
	}
	if err != nil {
		return err
	}
	verb, words := words[0], words[1:]
	switch {
	case verb == "status" && len(words) == 1:
	case verb == "promote" && len(words) == 2:
	default:
		return fmt.Errorf("unknown command or wrong number of arguments\n%s", usage)
	}
	c, namespace, err := connect(o)
	if err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: namespace, Name: words[0]}
	if verb == "status" {
		return status(ctx, c, key, out, time.Now())
	}
	return promote(ctx, c, key, words[1], out, o.timeout)
}

func parse(args []string) (words []string, o options, err error) {
	f := flag.NewFlagSet("kubectl understudy", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.namespace, "n", "", "")
	f.StringVar(&o.namespace, "namespace", "", "")
	f.StringVar(&o.context, "context", "", "")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "")
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return nil, o, err
		}
		if args = f.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	return words, o, nil
}

func connect(o options) (client.Client, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	cc := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context})
	config, err := cc.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = cc.Namespace(); err != nil {
			return nil, "", err
		}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, "", err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	return c, namespace, err
}

func get(ctx context.Context, c client.Client, key types.NamespacedName) (*v1alpha1.ReplicaSet, error) {
	var rs v1alpha1.ReplicaSet
	if err := c.Get(ctx, key, &rs); err != nil {
		return nil, err
	}
	return &rs, nil
}

// promote asks for a switchover and waits until the operator has done it, or tells why not.
func promote(ctx context.Context, c client.Client, key types.NamespacedName, member string, out io.Writer, timeout time.Duration) error {
	rs, err := get(ctx, c, key)
	if err != nil {
		return err
	}
	if i, ok := resources.MemberIndex(rs.Name, member); !ok || i >= int(rs.Spec.Members) {
		return fmt.Errorf("%s is no member of %s: it has %s to %s", member, rs.Name,
			resources.MemberName(rs.Name, 0), resources.MemberName(rs.Name, int(rs.Spec.Members)-1))
	}
	if rs.Status.Master == member {
		fmt.Fprintf(out, "%s is master already (term %d)\n", member, term(rs))
		return nil
	}
	if err := ask(ctx, c, rs, member); err != nil {
		return err
	}
	fmt.Fprintf(out, "asked for %s; the master was %s\n", member, orNone(rs.Status.Master))
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for start := time.Now(); ; {
		if rs, err = get(ctx, c, key); err == nil && rs.Status.Master == member {
			fmt.Fprintf(out, "%s is master of term %d after %s\n", member, term(rs), time.Since(start).Round(10*time.Millisecond))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not master yet; see kubectl understudy status %s", member, key.Name)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ask sets spec.master. A wish of the same name that was spent is taken back first and the operator's
// word awaited, so that asking again counts as a change.
func ask(ctx context.Context, c client.Client, rs *v1alpha1.ReplicaSet, member string) error {
	if rs.Spec.Master == member {
		if err := wish(ctx, c, rs, ""); err != nil {
			return err
		}
		for range 50 {
			if now, err := get(ctx, c, client.ObjectKeyFromObject(rs)); err == nil && now.Status.SpentMaster != member {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return wish(ctx, c, rs, member)
}

func wish(ctx context.Context, c client.Client, rs *v1alpha1.ReplicaSet, member string) error {
	patch := fmt.Sprintf(`{"spec":{"master":%q}}`, member)
	return c.Patch(ctx, rs, client.RawPatch(types.MergePatchType, []byte(patch)))
}

func term(rs *v1alpha1.ReplicaSet) int64 {
	if rs.Status.Term == nil {
		return 0
	}
	return rs.Status.Term.Number
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/api/v1alpha1"
	"github.com/understudy-db/understudy/hack/internal/respclient"
	"github.com/understudy-db/understudy/hack/internal/testbed"
)

const (
	members  = 3
	seedKeys = 1000
	image    = "campaign"
)

// world is a cluster with the operator, and one set at a time in a namespace of its own.
type world struct {
	bed       *testbed.Bed
	namespace string
	set       testbed.Set
	password  string
	service   string // address of the read-write Service
	out       io.Writer
}

func newWorld(ctx context.Context, name string, out io.Writer) (*world, error) {
	bed, err := testbed.Own(ctx, members, out)
	if err != nil {
		return nil, err
	}
	if err := bed.LoadImages(ctx, image); err != nil {
		return nil, err
	}
	if err := bed.Install(ctx, testbed.Built(image)); err != nil {
		return nil, err
	}
	if err := bed.RestartOperator(ctx); err != nil {
		return nil, err
	}
	w := &world{bed: bed, namespace: fmt.Sprintf("%s-%d", name, time.Now().Unix()), out: out}
	_, err = bed.Kubectl(ctx, "create", "namespace", w.namespace)
	return w, err
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := w.bed.Heal(ctx)
	_, e := w.bed.Kubectl(ctx, "delete", "namespace", w.namespace, "--wait=false")
	if err := errors.Join(err, e); err != nil {
		fmt.Fprintf(w.out, "not everything is cleaned up: %v\n", err)
	}
}

// apply makes a set and waits until it is ready. spec is YAML in flow style.
func (w *world) apply(ctx context.Context, name, spec string) error {
	w.set = testbed.Set{Bed: w.bed, Namespace: w.namespace, Name: name}
	manifest := fmt.Sprintf("apiVersion: understudy.dev/v1alpha1\nkind: ReplicaSet\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, w.namespace, spec)
	if err := w.bed.Apply(ctx, manifest); err != nil {
		return err
	}
	if err := w.ready(ctx, 3*time.Minute); err != nil {
		return err
	}
	var err error
	if w.password, err = w.set.Password(ctx); err != nil {
		return err
	}
	ip, err := w.bed.Kubectl(ctx, "-n", w.namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
	w.service = net.JoinHostPort(ip, "6379")
	return err
}

func (w *world) remove(ctx context.Context) error {
	_, err := w.bed.Kubectl(ctx, "-n", w.namespace, "delete", "replicasets.understudy.dev", w.set.Name)
	return err
}

func (w *world) ready(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := w.set.WaitReady(ctx)
	return err
}

func (w *world) master(ctx context.Context) (string, error) {
	rs, err := w.set.Get(ctx)
	if err == nil && rs.Status.Master == "" {
		err = fmt.Errorf("no master in status")
	}
	return rs.Status.Master, err
}

// connect dials an address that is known already: a client that looked Services up for every dial would measure the API.
func (w *world) connect(ctx context.Context, addr string) (*respclient.Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: 200 * time.Millisecond}
		return d.DialContext(ctx, "tcp", addr)
	}
	return respclient.Connect(ctx, dial, w.password, time.Second)
}

// connectSoon dials until the Service has reached kube-proxy.
func (w *world) connectSoon(ctx context.Context, addr string) (*respclient.Client, error) {
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := w.connect(ctx, addr)
		if err == nil || time.Now().After(end) {
			return c, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// incarnation is the process of a member that status knows.
func (w *world) incarnation(ctx context.Context, name string) (string, error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return "", err
	}
	return incarnationIn(rs, name), nil
}

func incarnationIn(rs *v1alpha1.ReplicaSet, name string) string {
	for _, m := range rs.Status.Members {
		if m.Name == name {
			return m.Incarnation
		}
	}
	return ""
}

// back waits until a lost member runs again as another process and the set is ready. Ready alone may still speak of the
// time before the loss.
func (w *world) back(ctx context.Context, name, was string) error {
	_, err := w.set.Wait(ctx, "to have "+name+" back", func(rs *v1alpha1.ReplicaSet) bool {
		now := incarnationIn(rs, name)
		return now != "" && now != was
	})
	if err != nil {
		return err
	}
	return w.ready(ctx, 4*time.Minute)
}

// seed writes keys that WAIT confirms on every replica.
func (w *world) seed(ctx context.Context, prefix string) error {
	c, err := w.connectSoon(ctx, w.service)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range seedKeys {
		if _, err := c.Do("SET", prefix+strconv.Itoa(n), strconv.Itoa(n)); err != nil {
			return err
		}
	}
	n, err := c.Int("WAIT", strconv.Itoa(members-1), "10000")
	if err == nil && n != members-1 {
		err = fmt.Errorf("WAIT confirmed %d replicas, want %d", n, members-1)
	}
	return err
}

// held counts the seeded keys of one member, asked directly.
func (w *world) held(ctx context.Context, member, prefix string) (int, error) {
	c, err := w.set.ConnectMember(ctx, member)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	held := 0
	for n := range seedKeys {
		v, found, err := c.String("GET", prefix+strconv.Itoa(n))
		if err != nil {
			return held, err
		}
		if found && v == strconv.Itoa(n) {
			held++
		}
	}
	return held, nil
}

// everyMemberHolds fails with the first member that lacks a seeded key.
func (w *world) everyMemberHolds(ctx context.Context, prefix string) error {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return err
	}
	for _, m := range rs.Status.Members {
		n, err := w.held(ctx, m.Name, prefix)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if n != seedKeys {
			return fmt.Errorf("%s holds %d of %d keys that every replica had confirmed", m.Name, n, seedKeys)
		}
	}
	return nil
}

// info reads a number from a section of a member's INFO.
func (w *world) info(ctx context.Context, member, section, field string) (int, error) {
	c, err := w.set.ConnectMember(ctx, member)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	info, err := c.Info(section)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info[field])
}

// servedSyncs is how many full resyncs the present process of each member has served.
func (w *world) servedSyncs(ctx context.Context) (map[string]int, error) {
	rs, err := w.set.Get(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, m := range rs.Status.Members {
		n, err := w.info(ctx, m.Name, "stats", "sync_full")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		all[m.Name] = n
	}
	return all, nil
}

package replicaset_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/controllers/observe"
	"github.com/understudy-db/understudy/controllers/resources"
	"github.com/understudy-db/understudy/controllers/simtest/fakemember"
)

// nodeName is the one node; it exists, so that nobody takes its pods for gone.
const nodeName = "node-1"

// kubelet runs the pods of a namespace as simulated members: it mounts Secrets, gives addresses, reports
// what containers do, and ends pods that are deleted.
type kubelet struct {
	c         client.Client
	world     *fakemember.World
	namespace string
	stop      context.CancelFunc
	done      chan struct{}

	mu      sync.Mutex
	running map[types.UID]*running
	disks   map[string]fakemember.Disk // by claim
	nextIP  int
}

type running struct {
	m      *fakemember.Member
	name   string
	claim  string
	ip     string
	ending bool
}

func startKubelet(c client.Client, w *fakemember.World, namespace string) *kubelet {
	ctx, stop := context.WithCancel(context.Background())
	k := &kubelet{c: c, world: w, namespace: namespace, stop: stop, done: make(chan struct{}), running: map[types.UID]*running{}, disks: map[string]fakemember.Disk{}}
	go func() {
		defer close(k.done)
		for ctx.Err() == nil {
			k.pass(ctx)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return k
}

func (k *kubelet) close() {
	k.stop()
	<-k.done
}

func (k *kubelet) pass(ctx context.Context) {
	var pods corev1.PodList
	if k.c.List(ctx, &pods, client.InNamespace(k.namespace)) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	there := map[types.UID]bool{}
	for i := range pods.Items {
		p := &pods.Items[i]
		there[p.UID] = true
		r := k.running[p.UID]
		switch {
		case p.DeletionTimestamp != nil:
			k.end(ctx, p, r)
		case p.Status.Phase == corev1.PodPending:
			k.start(ctx, p, r)
		case r != nil:
			if v, err := k.password(ctx, p); err == nil {
				r.m.SetPassword(v)
			}
		}
	}
	for uid, r := range k.running {
		if !there[uid] { // deleted by force
			k.keep(r)
			delete(k.running, uid)
		}
	}
}

func (k *kubelet) keep(r *running) {
	disk := r.m.Remove()
	if r.claim != "" {
		k.disks[r.claim] = disk
	}
}

// start takes a pod as far as it gets in this pass; r is nil until its member runs, which is only once.
func (k *kubelet) start(ctx context.Context, p *corev1.Pod, r *running) {
	image := p.Spec.Containers[0].Image
	if image == "unschedulable" {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available"}}
		_ = k.report(ctx, p)
		return
	}
	if p.Spec.NodeName == "" {
		if k.c.SubResource("binding").Create(ctx, p, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}}) != nil {
			return
		}
		if k.c.Get(ctx, client.ObjectKeyFromObject(p), p) != nil {
			return
		}
	}
	if strings.HasPrefix(image, "missing") {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resources.ContainerName, Image: image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image " + image}}}}
		_ = k.report(ctx, p)
		return
	}
	if r == nil {
		spec, claim, err := k.mount(ctx, p)
		if err != nil {
			return // a Secret is not there yet: the kubelet tries again
		}
		m, err := k.world.Run(spec)
		if err != nil {
			panic(err)
		}
		k.nextIP++
		r = &running{m: m, name: p.Name, claim: claim, ip: fmt.Sprintf("10.9.%d.%d", k.nextIP/250, k.nextIP%250+1)}
		k.running[p.UID] = r
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q,%q:%q}}}`, observe.AnnotationManagementAddr, r.m.Addr(), observe.AnnotationDataAddr, r.m.Addr())
	if err := k.c.Patch(ctx, p, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return
	}
	p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, r.ip, []corev1.PodIP{{IP: r.ip}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	started := true
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resources.ContainerName, Image: image, Ready: true, Started: &started,
		ContainerID: "containerd://" + string(p.UID), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	_ = k.report(ctx, p) // while the pod is pending the next pass tries again
}

// report writes a pod's status as a kubelet does: by a patch of this very pod, which the operator's writes to the pod do
// not make the API server refuse.
func (k *kubelet) report(ctx context.Context, p *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": p.Status})
	if err != nil {
		return err
	}
	return k.c.Status().Patch(ctx, p, client.RawPatch(types.MergePatchType, patch))
}

func (k *kubelet) mount(ctx context.Context, p *corev1.Pod) (fakemember.Pod, string, error) {
	out := fakemember.Pod{Name: p.Labels[resources.LabelMember], Voter: member.Voter(p.UID)}
	args := p.Spec.Containers[0].Args
	for i := range args {
		if args[i] == "--set-uid" {
			out.SetUID = args[i+1]
		}
	}
	var s corev1.Secret
	if err := k.c.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: volumeSecret(p, "tls")}, &s); err != nil {
		return out, "", err
	}
	cert, err := tls.X509KeyPair(s.Data[resources.KeyCert], s.Data[resources.KeyKey])
	if err != nil {
		return out, "", err
	}
	out.Cert, out.CA = cert, s.Data[resources.KeyCA]
	if out.Password, err = k.password(ctx, p); err != nil {
		return out, "", err
	}
	claim := ""
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claim, out.Persists = v.PersistentVolumeClaim.ClaimName, true
			if disk, ok := k.disks[claim]; ok {
				out.Left = &disk
			}
		}
	}
	return out, claim, nil
}

func volumeSecret(p *corev1.Pod, volume string) string {
	for _, v := range p.Spec.Volumes {
		if v.Name == volume && v.Secret != nil {
			return v.Secret.SecretName
		}
	}
	return ""
}

// password is the version of the mounted password, as docs/server-contract.md has it.
func (k *kubelet) password(ctx context.Context, p *corev1.Pod) (string, error) {
	var auth, ca corev1.Secret
	if err := k.c.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: volumeSecret(p, "auth")}, &auth); err != nil {
		return "", err
	}
	if err := k.c.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: volumeSecret(p, "tls")}, &ca); err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, ca.Data[resources.KeyCA])
	mac.Write(auth.Data[resources.KeyPassword])
	return hex.EncodeToString(mac.Sum(nil))[:16], nil
}

// end is a graceful deletion: SIGTERM, the pod's grace to be relieved in, the last word of the containers, and the pod
// object goes.
func (k *kubelet) end(ctx context.Context, p *corev1.Pod, r *running) {
	if r != nil {
		if !r.ending {
			r.ending = true
			r.m.Terminate()
		}
		if !r.m.Relieved() && time.Now().Before(p.DeletionTimestamp.Time) {
			return
		}
		k.keep(r)
		delete(k.running, p.UID)
		k.terminated(ctx, p, 0)
	}
	_ = k.c.Delete(ctx, p, client.GracePeriodSeconds(0), client.Preconditions{UID: &p.UID})
}

func (k *kubelet) terminated(ctx context.Context, p *corev1.Pod, code int32) {
	if k.c.Get(ctx, client.ObjectKeyFromObject(p), p) != nil {
		return // deleted by force
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resources.ContainerName, Image: p.Spec.Containers[0].Image,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", ContainerID: "containerd://" + string(p.UID)}}}}
	p.Status.Phase = corev1.PodFailed
	_ = k.report(ctx, p) // a conflict: another pod has the name by now
}

// vanish is a node that is lost: the process is gone and nobody says so.
func (k *kubelet) vanish(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.running {
		if r.name == name {
			k.keep(r)
			return
		}
	}
	panic("no running pod " + name)
}

// kill is SIGKILL to the whole container, supervisor included; the kubelet reports it.
func (k *kubelet) kill(ctx context.Context, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid, r := range k.running {
		if r.name == name {
			k.keep(r)
			delete(k.running, uid)
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: name}}
			k.terminated(ctx, p, 137)
			return
		}
	}
	panic("no running pod " + name)
}

// member is the simulated member behind a pod name.
func (k *kubelet) member(name string) *fakemember.Member {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.running {
		if r.name == name {
			return r.m
		}
	}
	return nil
}

// Package localpath provisions volumes: for each claim of its storage class it makes a folder on the disk of the node
// that the scheduler chose, and a local PersistentVolume for that folder.
//
// It runs beside the control plane and reaches the nodes' disks as folders of this machine, so it needs no helper pods.
// Folders belong to root with mode 0755, as a freshly formatted disk does: a pod that is not root must ask for an
// fsGroup, here as on a real cluster. Size is recorded, not enforced.
package localpath

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// Provisioner is the name that a StorageClass carries to be served by this program.
	Provisioner = "understudy.dev/local-path"

	selectedNode  = "volume.kubernetes.io/selected-node" // set by the scheduler under WaitForFirstConsumer
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	retryEvery    = 2 * time.Second // after an error, such as a node's disk that is full
)

type provisioner struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	disks   string // folder of a node's disk on this machine; %s is the node's name
	path    string // folder for volumes as the node sees it
}

// NewCommand returns the program.
func NewCommand() *cobra.Command {
	p := &provisioner{}
	var kubeconfig string
	c := &cobra.Command{
		Use:          "local-path",
		Short:        "Provision local volumes on the nodes of a cluster on this machine",
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context(), kubeconfig) },
	}
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	c.Flags().StringVar(&p.disks, "disks", "", "folder of a node's disk; %s stands for the node's name")
	c.Flags().StringVar(&p.path, "path", "/var/lib/local-path", "folder for volumes on a node's disk")
	return c
}

func (p *provisioner) run(ctx context.Context, kubeconfig string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(p.client, 0)
	p.claims = factory.Core().V1().PersistentVolumeClaims().Lister()
	p.volumes = factory.Core().V1().PersistentVolumes().Lister()
	p.classes = factory.Storage().V1().StorageClasses().Lister()

	wake := make(chan struct{}, 1)
	poke := func() {
		select {
		case wake <- struct{}{}:
		default: // a pass is already due
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().PersistentVolumeClaims().Informer(),
		factory.Core().V1().PersistentVolumes().Informer(),
		factory.Storage().V1().StorageClasses().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	klog.InfoS("Serving claims", "provisioner", Provisioner)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		if err := p.pass(ctx); err != nil {
			klog.ErrorS(err, "Will try again", "after", retryEvery)
			time.AfterFunc(retryEvery, poke)
		}
	}
}

// pass serves every claim that waits and removes every volume that was released.
func (p *provisioner) pass(ctx context.Context) error {
	claims, err := p.claims.List(labels.Everything())
	if err != nil {
		return err
	}
	volumes, err := p.volumes.List(labels.Everything())
	if err != nil {
		return err
	}
	var failed []error
	for _, claim := range claims {
		if class := p.wants(claim); class != nil {
			failed = append(failed, p.provision(ctx, claim, class))
		}
	}
	for _, volume := range volumes {
		if volume.Annotations[provisionedBy] == Provisioner && volume.Status.Phase == corev1.VolumeReleased &&
			volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			failed = append(failed, p.remove(ctx, volume))
		}
	}
	return errors.Join(failed...)
}

// wants returns the class of a claim that is ours to serve now, or nil.
func (p *provisioner) wants(claim *corev1.PersistentVolumeClaim) *storagev1.StorageClass {
	if claim.DeletionTimestamp != nil || claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil || claim.Annotations[selectedNode] == "" {
		return nil
	}
	class, err := p.classes.Get(*claim.Spec.StorageClassName)
	if err != nil || class.Provisioner != Provisioner {
		return nil
	}
	return class
}

func (p *provisioner) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	name, node := "pvc-"+string(claim.UID), claim.Annotations[selectedNode]
	if err := os.MkdirAll(p.folder(node, name), 0o755); err != nil {
		return fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: Provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              class.Name,
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: filepath.Join(p.path, name)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
	if class.ReclaimPolicy != nil {
		volume.Spec.PersistentVolumeReclaimPolicy = *class.ReclaimPolicy
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // made by an earlier pass; the binder has not written the claim yet
	}
	if err != nil {
		return fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	klog.InfoS("Provisioned", "claim", claim.Namespace+"/"+claim.Name, "volume", name, "node", node)
	return nil
}

// remove deletes the folder first, so that a volume whose data cannot be deleted stays visible.
func (p *provisioner) remove(ctx context.Context, volume *corev1.PersistentVolume) error {
	node := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
	if err := os.RemoveAll(p.folder(node, volume.Name)); err != nil {
		return fmt.Errorf("volume %s: %w", volume.Name, err)
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("volume %s: %w", volume.Name, err)
	}
	klog.InfoS("Removed", "volume", volume.Name, "node", node)
	return nil
}

func (p *provisioner) folder(node, volume string) string {
	return filepath.Join(fmt.Sprintf(p.disks, node), p.path, volume)
}

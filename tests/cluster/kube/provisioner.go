package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisionerName = "paude.test/local"
	// The volume controller writes this annotation once a volume is wanted; where binding waits for a pod,
	// only after the scheduler has chosen the node.
	wantedFrom    = "volume.kubernetes.io/storage-provisioner"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
)

// provisioner makes a directory for each claim and offers it as a volume of kind "local": the only kind of
// directory volume to which the kubelet applies fsGroup, as it does for the disks of real clusters.
// It works without helper pods, so that a volume costs what the control plane costs and no more;
// a StorageClass with the parameter "delay" (a Go duration) stands for storage that takes its time.
type provisioner struct {
	client     kubernetes.Interface
	root, node string
	busy       sync.Map // what is being worked on now, by name: events repeat
}

func newProvisionerCommand() *cobra.Command {
	var kubeconfig string
	p := &provisioner{}
	c := &cobra.Command{Use: "provisioner", RunE: func(c *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		if p.client, err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
		if err := os.MkdirAll(p.root, 0o711); err != nil {
			return err
		}
		p.run(context.Background())
		return nil
	}}
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the cluster")
	c.Flags().StringVar(&p.root, "root", "", "directory in which the volumes lie")
	c.Flags().StringVar(&p.node, "node", "", "name of this node")
	return c
}

func (p *provisioner) run(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(p.client, 10*time.Second) // the resync retries what failed
	on := func(object any) {
		switch o := object.(type) {
		case *v1.PersistentVolumeClaim:
			p.once("claim "+string(o.UID), func() error { return p.provision(ctx, o) })
		case *v1.PersistentVolume:
			p.once("volume "+o.Name, func() error { return p.remove(ctx, o) })
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: on, UpdateFunc: func(_, now any) { on(now) }}
	factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(handler)
	factory.Core().V1().PersistentVolumes().Informer().AddEventHandler(handler)
	factory.Start(ctx.Done())
	<-ctx.Done()
}

func (p *provisioner) once(key string, work func() error) {
	if _, already := p.busy.LoadOrStore(key, true); already {
		return
	}
	go func() {
		defer p.busy.Delete(key)
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, key, err)
		}
	}()
}

func (p *provisioner) provision(ctx context.Context, claim *v1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[wantedFrom] != provisionerName {
		return nil
	}
	class, err := p.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if delay := class.Parameters["delay"]; delay != "" {
		d, err := time.ParseDuration(delay)
		if err != nil {
			return err
		}
		time.Sleep(d)
	}
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(p.root, name)
	if err := os.Mkdir(path, 0o750); err != nil && !os.IsExist(err) {
		return err
	}
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: v1.PersistentVolumeSpec{
			Capacity:                      v1.ResourceList{v1.ResourceStorage: claim.Spec.Resources.Requests[v1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			StorageClassName:              class.Name,
			VolumeMode:                    claim.Spec.VolumeMode,
			MountOptions:                  class.MountOptions,
			ClaimRef: &v1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{
					Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.node}}}}}}},
		},
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *provisioner) remove(ctx context.Context, volume *v1.PersistentVolume) error {
	if volume.Annotations[provisionedBy] != provisionerName || volume.Status.Phase != v1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != v1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(p.root, volume.Name)); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if errors.IsNotFound(err) {
		return nil
	}
	return err
}

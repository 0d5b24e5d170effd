package testbed

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Ways to lose a member, from the smallest to the largest. Each returns as soon as the deed is done.

// KillProcess kills the server process of a member; the supervisor, process 1 of the container, lives.
func (s Set) KillProcess(ctx context.Context, member string) error {
	return s.signal(ctx, member, syscall.SIGKILL, "--children")
}

// KillContainer kills every process of a member's container.
func (s Set) KillContainer(ctx context.Context, member string) error {
	return s.signal(ctx, member, syscall.SIGKILL)
}

// Freeze stops every process of a member in its tracks, and Thaw lets them go on.
func (s Set) Freeze(ctx context.Context, member string) error {
	return s.signal(ctx, member, syscall.SIGSTOP)
}

// Thaw undoes Freeze.
func (s Set) Thaw(ctx context.Context, member string) error {
	return s.signal(ctx, member, syscall.SIGCONT)
}

func (s Set) signal(ctx context.Context, member string, sig syscall.Signal, flags ...string) error {
	pod, err := s.Pod(ctx, member)
	if err != nil {
		return err
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running != nil {
			args := append(append([]string{"signal"}, flags...), c.ContainerID, strconv.Itoa(int(sig)))
			_, err := s.Bed.Tool(ctx, args...)
			return err
		}
	}
	return fmt.Errorf("%s runs no container", member)
}

// ForceDelete deletes a member's pod at once, without asking it.
func (s Set) ForceDelete(ctx context.Context, member string) error {
	pod, err := s.Pod(ctx, member)
	if err != nil {
		return err
	}
	return s.Bed.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))
}

// KillNode kills the node on which a member runs.
func (s Set) KillNode(ctx context.Context, member string) error {
	pod, err := s.Pod(ctx, member)
	if err != nil {
		return err
	}
	_, err = s.Bed.Tool(ctx, "kill-node", pod.Spec.NodeName)
	return err
}

// Heal lets through again what the tool's verb block dropped.
func (b *Bed) Heal(ctx context.Context) error {
	_, err := b.Tool(ctx, "unblock")
	return err
}

// WaitNewIncarnation waits until a member runs a container or pod started after the given time, and is ready.
func (s Set) WaitNewIncarnation(ctx context.Context, member string, after time.Time) error {
	since := metav1.NewTime(after.Truncate(time.Second))
	for {
		pod, err := s.Pod(ctx, member)
		if err == nil {
			for _, c := range pod.Status.ContainerStatuses {
				if c.Ready && c.State.Running != nil && !c.State.Running.StartedAt.Before(&since) {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s to start again: %w\n%s", member, ctx.Err(), s.Describe())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

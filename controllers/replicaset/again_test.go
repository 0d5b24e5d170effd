package replicaset

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/understudy-db/understudy/controllers/apply"
	"github.com/understudy-db/understudy/controllers/plan"
)

// While a namespace is being deleted nothing can be made in it: that is no failure to repeat at once.
func TestTerminatingNamespaceIsNoFailure(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "a-0", errors.New("it is being terminated"))
	failed := fmt.Errorf("CreatePod a-0: %w", refused)
	if _, err := new(Reconciler).again(t.Context(), nil, plan.Decision{}, false, failed); err == nil {
		t.Fatal("an ordinary refusal is swallowed")
	}
	refused.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	again, err := new(Reconciler).again(t.Context(), nil, plan.Decision{}, false, failed)
	if err != nil || again.RequeueAfter != apply.SecretsEvery {
		t.Fatalf("%v, %v", again, err)
	}
}

//go:build !e2e

package e2e

import (
	"os"
	"testing"
)

// TestEndToEnd says that the suites did not run. In CI they are a step of their own, so there it is no omission.
func TestEndToEnd(t *testing.T) {
	if os.Getenv("CI") != "" {
		t.Skip("the end-to-end suites are a step of their own: make e2e")
	}
	t.Skip("NOT RUN: the end-to-end suites need root and a cluster: run `make e2e`")
}

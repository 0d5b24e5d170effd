package link

import (
	"testing"
	"time"
)

// SetHearWait lets who shall take over wait for so long during a test, which no busy machine uses up.
func SetHearWait(t *testing.T, d time.Duration) {
	before := hearWait
	hearWait = d
	t.Cleanup(func() { hearWait = before })
}

//go:build !linux

package memberclient

import "time"

var started = time.Now().Add(-time.Second)

// BootTime is a monotonic clock; systems other than Linux are for development only.
func BootTime() time.Duration { return time.Since(started) }

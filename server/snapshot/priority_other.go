//go:build !linux

package snapshot

// Background would lower the calling goroutine's priority; here it has none.
func Background() {}

//go:build !linux

package snapshot

// Background does nothing here: see Linux.
func Background() {}

func ownThread(int) {}

// GiveWay does nothing here: see Linux.
func GiveWay() {}

//go:build !linux

package app

// argumentMemory is not known here: the process keeps its name.
func argumentMemory() []byte { return nil }

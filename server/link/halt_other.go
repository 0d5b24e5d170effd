//go:build !linux

package link

func heedStop() {}

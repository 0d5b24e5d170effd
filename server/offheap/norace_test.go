//go:build !race

package offheap

const shadow = 1

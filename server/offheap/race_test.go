//go:build race

package offheap

// shadow is how many bytes stay resident for each byte that was touched once: the race detector keeps notes.
const shadow = 2

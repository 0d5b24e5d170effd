//go:build !race

package abuse

// shadow is 1: without the race detector resident memory is the server's own.
const shadow = 1

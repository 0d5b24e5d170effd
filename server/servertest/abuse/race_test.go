//go:build race

package abuse

// shadow is what the race detector adds to a byte of resident memory, with a margin: it keeps up to eight bytes of its own
// for each, and gives none back.
const shadow = 10

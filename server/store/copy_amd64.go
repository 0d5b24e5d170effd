package store

// fastStrings tells whether the processor has fast string instructions (ERMS: CPUID leaf 7, EBX bit 9).
func fastStrings() bool

// moveBytes copies n bytes with one of them. The two must not overlap.
//
//go:noescape
func moveBytes(to, from *byte, n int)

var hasFastStrings = fastStrings()

const (
	longCopy  = 4 << 10   // from here on they are worth their start
	copyPiece = 256 << 10 // the scheduler cannot interrupt one
)

// copyValue copies a value to its place in the store, which no cache holds as a rule: a fast string instruction does not read first
// what it overwrites, as Go's copy does.
func copyValue(to, from []byte) {
	if len(from) < longCopy || !hasFastStrings {
		copy(to, from)
		return
	}
	to = to[:len(from)]
	for len(from) > 0 {
		n := min(len(from), copyPiece)
		moveBytes(&to[0], &from[0], n)
		to, from = to[n:], from[n:]
	}
}

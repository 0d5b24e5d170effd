//go:build amd64 || arm64

package ticks

// read is the processor's counter: the time stamp counter of amd64, the virtual counter of arm64. It does not wait for the
// instructions before it, so that a reading may be some tens of nanoseconds early.
//
//go:noescape
func read() uint64

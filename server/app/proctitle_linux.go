package app

import (
	"os"
	"unsafe"
)

// argumentMemory is where the kernel has put the arguments and the environment of this process. The runtime has copied the
// environment; /proc/self/environ alone still looks there.
func argumentMemory() []byte {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil
	}
	start, end, ok := argumentBounds(stat)
	if !ok {
		return nil
	}
	p := *(*unsafe.Pointer)(unsafe.Pointer(&start)) // memory of the stack's far end, which is not Go's
	return unsafe.Slice((*byte)(p), end-start)
}

package link

import (
	"math/bits"
	"runtime"

	"golang.org/x/sys/unix"
)

// heedStop lets a SIGSTOP that was sent to this process before take effect now. The kernel hands such a signal to the process's first
// thread, and the others go on until that one has had a turn, which on a busy machine it has late. Any other thread looks for
// the signal where its own mask changes. So a mask is changed and changed back, with a signal that Go leaves open in every
// thread. Who is stopped says nothing afterwards, as a server with one thread does not.
func heedStop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[(unix.SIGPROF-1)/bits.UintSize] |= 1 << ((unix.SIGPROF - 1) % bits.UintSize)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old) == nil {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // fails for no mask that was in force
	}
}

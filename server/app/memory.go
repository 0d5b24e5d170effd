package app

import (
	"errors"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryLimit is how much memory the container (the control group) leaves this process, in bytes; 0 where nothing limits it.
func (a *App) memoryLimit() int64 {
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return 0
	case err != nil:
		a.logger.Noticef("How much memory this process may have is not known: %v", err)
		return 0
	}
	return int64(min(limit, math.MaxInt64))
}

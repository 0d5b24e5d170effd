package ticks

import (
	"os"
	"runtime"
	"strings"
	"sync"
)

// Steady tells whether the kernel takes the counter for steady, and alike on all processors.
var Steady = sync.OnceValue(func() bool {
	source, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	if err != nil {
		return false // another system, or one that does not tell
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && steady(runtime.GOARCH, string(source), string(info))
})

// steady judges by the clock that the kernel itself uses, and the flags of the first processor: in a virtual machine the
// hypervisor's clock is the counter with a rate that may change.
func steady(arch, source, cpuinfo string) bool {
	switch source = strings.TrimSpace(source); {
	case arch == "arm64":
		return source == "arch_sys_counter"
	case arch != "amd64":
		return false
	case source == "tsc":
		return true
	case source == "kvm-clock", source == "hyperv_clocksource_tsc_page":
		_, flags, _ := strings.Cut(cpuinfo, "\nflags")
		flags, _, _ = strings.Cut(flags, "\n")
		flags += " "
		return strings.Contains(flags, " constant_tsc ") && strings.Contains(flags, " nonstop_tsc ")
	}
	return false
}

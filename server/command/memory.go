package command

// cmdMemoryUsage answers exactly: the store knows the size of every value, so SAMPLES is checked and has no effect.
func cmdMemoryUsage(c *Ctx) {
	for i := 3; i < len(c.Args); i += 2 {
		if !c.is(i, "samples") || i+1 >= len(c.Args) {
			c.Out.Error(errSyntax)
			return
		}
		n, ok := c.intArg(i + 1)
		if !ok {
			return
		}
		if n < 0 {
			c.Out.Error(errSyntax)
			return
		}
	}
	if e, ok := c.lookupUntouched(c.Args[2]); ok {
		c.Out.Int(e.MemoryUsage())
	} else {
		c.Out.Null()
	}
}

func cmdMemoryHelp(c *Ctx) {
	c.Help("MEMORY",
		"DOCTOR", "    Return memory problems reports.",
		"MALLOC-STATS", "    Return internal statistics report from the memory allocator.",
		"PURGE", "    Attempt to purge dirty pages for reclamation by the allocator.",
		"STATS", "    Return information about the memory usage of the server.",
		"USAGE <key> [SAMPLES <count>]", "    Return memory in bytes used by <key> and its value. SAMPLES is accepted", "    and not needed: the size is known.")
}

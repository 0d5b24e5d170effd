package command

// cmdModuleList answers what tools ask every server for: which modules are loaded.
func cmdModuleList(c *Ctx) { c.Out.Array(0) }

func cmdModuleHelp(c *Ctx) {
	c.Help("MODULE",
		"LIST", "    List the loaded modules: there are none.",
		"LOAD <path> [<arg> ...]", "    Is refused: modules are code for redis-server's process.",
		"LOADEX <path> [CONFIG <name> <value> ...] [ARGS ...]", "    Is refused likewise.",
		"UNLOAD <name>", "    Is refused: nothing is loaded.")
}

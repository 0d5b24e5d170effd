package session

import (
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/settings"
)

// protected answers why a client may not have a command that a directive must enable: DEBUG, and what loads modules.
func (srv *Server) protected(c *engine.Client, cmd *command.Cmd) (why string) {
	name, key := "debug", settings.EnableDebugCommand
	if strings.HasPrefix(cmd.FullName, "module|") {
		name, key = "module", settings.EnableModuleCommand
	}
	if srv.enabled(key, Of(c)) {
		return ""
	}
	return strings.ToUpper(name) + " command not allowed. If the enable-" + name + "-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
}

// moduleLoad refuses as a redis-server does that may not load modules, or cannot load this one.
func (srv *Server) moduleLoad(ctx *command.Ctx) {
	srv.refuseModule(ctx, "Error loading the extension. Please check the server logs.")
}

// moduleUnload refuses: nothing is loaded.
func (srv *Server) moduleUnload(ctx *command.Ctx) {
	srv.refuseModule(ctx, "Error unloading module: no such module with that name")
}

func (srv *Server) refuseModule(ctx *command.Ctx, why string) {
	if refused := srv.protected(engine.Of(ctx), ctx.Cmd); refused != "" {
		why = refused
	} else {
		srv.logf("%s: modules are code for redis-server's process", ctx.Cmd.FullName)
	}
	ctx.Out.Error(why)
}

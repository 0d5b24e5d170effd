package session

import (
	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/settings"
)

const errModule = "MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."

// moduleLoad refuses as a redis-server does that may not load modules, or cannot load this one.
func (srv *Server) moduleLoad(ctx *command.Ctx) {
	srv.refuseModule(ctx, "Error loading the extension. Please check the server logs.")
}

// moduleUnload refuses: nothing is loaded.
func (srv *Server) moduleUnload(ctx *command.Ctx) {
	srv.refuseModule(ctx, "Error unloading module: no such module with that name")
}

func (srv *Server) refuseModule(ctx *command.Ctx, why string) {
	if !srv.enabled(settings.EnableModuleCommand, self(ctx)) {
		ctx.Out.Error(errModule)
		return
	}
	srv.logf("%s: modules are code for redis-server's process", ctx.Cmd.FullName)
	ctx.Out.Error(why)
}

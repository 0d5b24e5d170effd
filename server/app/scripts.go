package app

import (
	"time"

	"github.com/understudy-db/understudy/server/script"
	"github.com/understudy-db/understudy/server/session"
	"github.com/understudy-db/understudy/server/settings"
)

func (a *App) newScripts() *script.Host {
	return script.New(script.Options{
		Engine: a.Engine, Version: session.Version,
		BusyAfter: func() time.Duration {
			return time.Duration(a.Settings.Int(settings.BusyReplyThreshold)) * time.Millisecond
		},
		Logf: func(level int, text string) { a.logger.logf(int64(level), "%s", text) },
	})
}

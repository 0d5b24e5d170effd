package app

import (
	"fmt"
	"os"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/supervise"
)

// superviseServer runs this program again as the supervised process, and stays as its parent.
func superviseServer(cfg *settings.Settings, args []string) int {
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: %v\n", err)
		return 1
	}
	state := cfg.String(settings.StateDir)
	if state == "" {
		state = cfg.Dir()
	}
	log := NewLogger("", cfg.Enum(settings.LogLevel), os.Stdout)
	return supervise.Run(supervise.Config{
		Program: program, Args: args,
		Identity:       member.Identity{SetUID: cfg.String(settings.SetUID), Name: cfg.String(settings.PodName), Voter: member.Voter(cfg.String(settings.PodUID))},
		ManagementAddr: cfg.String(settings.ManagementAddr), CertDir: cfg.String(settings.ManagementCertDir),
		HTTPAddr: cfg.String(settings.HTTPAddr), StateDir: state,
		Log:    func(format string, a ...any) { log.Noticef("supervisor: "+format, a...) },
		Stdout: os.Stdout, Stderr: os.Stderr,
	})
}

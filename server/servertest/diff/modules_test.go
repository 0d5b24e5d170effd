package diff

import (
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// TestModules compares what tools that look for modules are told, where nobody may load them and where one might.
func TestModules(t *testing.T) {
	for _, may := range []string{"no", "local"} {
		args := []string{"--save", "", "--enable-module-command", may}
		real, ours := oracle.Start(t, args...), servertest.Start(t, args[2:]...)
		for _, cmd := range [][]string{
			{"MODULE"}, {"MODULE", "LIST"}, {"module", "list", "x"}, {"MODULE", "LOAD"}, {"MODULE", "LOAD", "/x.so"},
			{"MODULE", "LOAD", "/x.so", "a", "b"}, {"MODULE", "LOADEX", "/x.so"}, {"MODULE", "LOADEX", "/x.so", "CONFIG", "a", "b"},
			{"MODULE", "LOADEX", "/x.so", "ARGS", "a"}, {"MODULE", "LOADEX", "/x.so", "CONFIG", "a"}, {"MODULE", "LOADEX", "/x.so", "else"},
			{"MODULE", "UNLOAD", "x"}, {"MODULE", "UNLOAD"}, {"MODULE", "nosuch"}, {"CONFIG", "GET", "enable-module-command"},
			{"MULTI"}, {"MODULE", "LOAD", "/x.so"}, {"MODULE", "LIST"}, {"EXEC"},
			{"ACL", "SETUSER", "u", "+module|list", "-module|load"}, {"ACL", "GETUSER", "u"}, {"EVAL", "return redis.pcall('module', 'list')", "0"},
		} {
			if want, got := real.Do(cmd...), ours.Do(cmd...); !Same(cmd, want, got) {
				t.Errorf("enable-module-command %s: %q\nredis-server: %s\nours:         %s", may, cmd, want, got)
			}
		}
	}
}

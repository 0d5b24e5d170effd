package session

import (
	"testing"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/store"
)

// TestMasterLinksCostNothing: what a lost link to the master is said to have used is what it was said to use.
func TestMasterLinksCostNothing(t *testing.T) {
	e := engine.New(engine.Options{Store: store.New(store.Options{}), Log: oplog.New(oplog.Options{}), Table: command.NewTable(), Logf: t.Logf})
	srv := New(Options{Engine: e, Settings: settings.New(), Logf: t.Logf, Version: "test"})
	if err := srv.LoadUsers(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		closed := srv.OpenMaster("127.0.0.1:1", "127.0.0.1:2", func() {})
		if n := srv.Count(); n != 1 {
			t.Errorf("%d clients", n)
		}
		closed()
	}
	if n := e.ClientBytes(); n != 0 || srv.Count() != 0 {
		t.Errorf("%d bytes for %d clients", n, srv.Count())
	}
}

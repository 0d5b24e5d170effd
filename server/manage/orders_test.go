package manage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

func TestConfigureRotateSave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var pf *PasswordFile
	w := newWorld(t, nil, func(o *Options) {
		pf = &PasswordFile{Path: file, CertDir: pki.New(t).Dir("understudy://x/operator")}
		o.Password = pf.Read
	})
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	if _, ok := c.ask(member.Configure{Order: order1(1), Set: map[string]string{"maxmemory": "1mb"}, Version: "v7"}).(member.Done); !ok {
		t.Error("configure was refused")
	}
	if r := w.d.Report(); r.Config != "v7" || r.AuthFile == "" || len(r.AuthFile) != 16 {
		t.Errorf("report %+v", r)
	}
	if no, ok := c.ask(member.Rotate{Order: order1(1), Step: member.RotateAccept, Version: "other"}).(member.Refusal); !ok || no.Code != member.RefusedInvalid {
		t.Errorf("a version that is not mounted: %+v", no)
	}
	_, version, _ := pf.Read()
	if _, ok := c.ask(member.Rotate{Order: order1(1), Step: member.RotateAccept, Version: version}).(member.Done); !ok || !w.node.heard("rotate accept secret") {
		t.Error("rotation was refused")
	}
	if r := w.d.Report(); r.Auth != version || r.AuthStep != member.RotateAccept {
		t.Errorf("report %+v", r)
	}
	if _, ok := c.ask(member.Save{Order: order1(1)}).(member.Done); !ok || !w.node.heard("save") {
		t.Error("save was refused")
	}
	w.node.mu.Lock()
	w.node.refuse = errors.New("bad value")
	w.node.mu.Unlock()
	if no, ok := c.ask(member.Configure{Order: order1(1), Set: map[string]string{"x": "y"}}).(member.Refusal); !ok || no.Why != "bad value" {
		t.Errorf("%+v", no)
	}
	if w.d.Report().ConfigBad != "bad value" {
		t.Error("the report does not tell the refusal")
	}
	if no, ok := c.ask(member.Save{Order: member.Order{Term: 1, For: "9-00000000000000ff", Met: true}}).(member.Refusal); !ok || no.Code != member.RefusedIncarnation {
		t.Errorf("%+v", no)
	}
}

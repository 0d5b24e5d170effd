package app

import (
	"fmt"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/manage"
	"github.com/understudy-db/understudy/server/settings"
)

// recallPassword finds out whether this process started in the midst of a rotation: the mounted file holds the new password
// only, and the state directory the hash of the one that the last rotation ended with. Others may still present that one,
// until the operator drops it.
func (a *App) recallPassword() error {
	if a.password == nil {
		return nil
	}
	mounted := a.Settings.String(settings.RequirePass)
	last, err := a.member.state.LoadPassword()
	switch {
	case err != nil:
		a.logger.Warningf("The hash of the last password cannot be read, only the mounted password is accepted: %v", err)
	case last == nil:
		return a.member.state.SavePassword(manage.HashPassword(mounted))
	case !last.Matches([]byte(mounted)):
		a.logger.Noticef("The password is being changed: the one before is accepted too, until the operator drops it")
		a.Sessions.AcceptOld(last.Matches)
	}
	return nil
}

// Rotate: accept the new password beside the old one, show it upstream, drop the old one. Links stay up: a password is
// asked for when a connection begins.
func (n memberNode) Rotate(step member.Rotation, password string) error {
	switch step {
	case member.RotateAccept:
		n.a.Sessions.AcceptAlso(password)
		return nil
	case member.RotateUse:
		return n.Configure(map[string]string{"masterauth": password})
	case member.RotateDrop:
		if err := n.a.member.state.SavePassword(manage.HashPassword(password)); err != nil { // first: a restart must not let the old one in again
			return fmt.Errorf("the new password's hash: %w", err)
		}
		if err := n.Configure(map[string]string{"requirepass": password, "masterauth": password}); err != nil {
			return err
		}
		n.a.Sessions.AcceptAlso("")
		n.a.Sessions.AcceptOld(nil)
		return nil
	}
	return fmt.Errorf("no step %q in a rotation: the operator is newer than this member", step)
}

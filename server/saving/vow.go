package saving

import (
	"strings"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
)

// Under appendfsync always nothing that this server has said it has is ever missing from its file. A server that comes back
// after kill -9, or after a power loss, must know that this has held all the time: a file of this name beside the parts
// says so. It is there, durably, only while it is true, so it goes before anything ends it: another policy, appendonly no,
// a data set that was replaced.
const vowFile = "understudy.always"

// vow makes it true, if it is not yet. a.mu is held.
func (a *appender) vow() {
	if a.vowed || !a.is(appendOn) || a.cur == nil || a.cur.Err() != nil || a.failed.Load() || a.suspect.Load() != 0 {
		return
	}
	if a.bring() != nil || a.inc == nil {
		return
	}
	d := a.dir()
	f, err := a.s.fs.Create(d.Part(vowFile))
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = a.s.fs.SyncDir(d.Path)
	}
	a.vowed = err == nil
}

// breakVow returns when nobody takes it for true any more. a.mu is held, or nobody writes yet.
func (a *appender) breakVow() {
	if !a.vowed {
		return
	}
	a.vowed = false
	d := a.dir()
	err := a.s.fs.Remove(d.Part(vowFile))
	if err == nil || fsys.IsNotExist(err) {
		err = a.s.fs.SyncDir(d.Path)
	}
	if err != nil {
		a.s.logf(settings.LogWarning, "%s cannot be removed (%v): this server must not go on", d.Part(vowFile), err)
		a.s.o.Fatal()
	}
}

// recallVow reports whether it was true when the process before ended.
func (a *appender) recallVow() bool {
	_, err := a.s.fs.Size(a.dir().Part(vowFile))
	a.vowed = err == nil
	return a.vowed
}

// policyChanged is CONFIG SET appendfsync. The engine's lock is held.
func (a *appender) policyChanged() {
	a.hook()
	if !a.always() {
		a.endVow()
	}
}

func (a *appender) endVow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.breakVow()
}

// NoteAux tells that Options.Aux may answer something else, before anything is written that belongs to it. The engine's lock
// is held.
func (s *Saver) NoteAux() {
	s.aof.noteAux()
	s.aof.wake()
}

// noteAux looks whether the auxiliary fields have changed: the file must tell, as a later RDB would. The engine's lock is
// held.
func (a *appender) noteAux() {
	if a.s.o.Aux == nil || a.is(appendOff) {
		return
	}
	var lines []string
	for _, x := range a.s.o.Aux() {
		lines = append(lines, x.Name+" "+x.Value)
	}
	text := strings.Join(lines, "\n")
	if old := a.aux.Load(); old == nil || *old != text {
		a.aux.Store(&text)
	}
}

// parseAux undoes what noteAux has put together.
func (s *Saver) parseAux(text string) (list []snapshot.Aux) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		list = append(list, snapshot.Aux{Name: name, Value: value})
	}
	return list
}

package manage

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// Tail is a piece of the stream, for a person to look at or to play back.
type Tail struct {
	Stream []byte // whole commands
	DB     int    // in which the first of them is executed, negative when nothing tells
	Writes int    // how many of them change data
}

// keptTails is how many files of divergent tails stay; each is at most repl-backlog-size long.
const keptTails = 8

// tails keeps what a deposed master had and nobody else has (rule 11). The files hold commands as an append-only file does,
// behind a line that begins with #, which its readers skip:
//
//	divergent-<term>-<replication ID>-<offset behind which the tail begins>.aof
type tails struct {
	fs   fsys.FS
	dir  string
	last string // name of the newest
}

func openTails(fs fsys.FS, dir string) (tails, error) {
	t := tails{fs: fs, dir: dir}
	names, err := t.list(".rdb")
	if err == nil && len(names) == 0 {
		names, err = t.list(".aof")
	}
	if len(names) > 0 {
		t.last = names[len(names)-1]
	}
	return t, err
}

// list has the oldest first, of tails (.aof) or of whole data sets (.rdb).
func (t *tails) list(kind string) ([]string, error) {
	type tail struct {
		name         string
		term, offset uint64
	}
	all, err := t.fs.List(t.dir)
	if err != nil && !fsys.IsNotExist(err) {
		return nil, err
	}
	var found []tail
	for _, name := range all {
		e, id := tail{name: name}, ""
		if n, _ := fmt.Sscanf(name, "divergent-%d-%40s-%d", &e.term, &id, &e.offset); n == 3 && name == setAsideName(e.term, id, e.offset, kind) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b tail) int {
		return cmp.Or(cmp.Compare(a.term, b.term), cmp.Compare(a.offset, b.offset))
	})
	names := make([]string, len(found))
	for i, e := range found {
		names[i] = e.name
	}
	return names, nil
}

func tailName(term uint64, replID string, offset uint64) string {
	return setAsideName(term, replID, offset, ".aof")
}

func setAsideName(term uint64, replID string, offset uint64, kind string) string {
	return fmt.Sprintf("divergent-%d-%s-%d%s", term, replID, offset, kind)
}

// keep returns when the tail behind offset common is durable. Old files go only after that.
func (t *tails) keep(own member.Data, common int64, tail Tail) (name string, err error) {
	reign := lastReign(own)
	name = tailName(uint64(reign.Term), reign.ReplID, uint64(common))
	err = fsys.Replace(t.fs, filepath.Join(t.dir, name), func(w io.Writer) error {
		return aof.WriteTail(w, fmt.Sprintf("%d writes behind offset %d up to %d, made in term %d under replication ID %s and held by this member alone",
			tail.Writes, common, own.Offset, reign.Term, reign.ReplID), tail.DB, tail.Stream)
	})
	if err != nil {
		return "", err
	}
	t.last = name
	return name, t.prune()
}

// lastReign is the one in which the newest of the data was written.
func lastReign(own member.Data) (reign member.Epoch) {
	for _, e := range own.History {
		if e.Start < own.Offset {
			reign = e
		}
	}
	return reign
}

func (t *tails) prune() error {
	names, err := t.list(".aof")
	if err != nil {
		return err
	}
	for len(names) > keptTails {
		if err := t.fs.Remove(filepath.Join(t.dir, names[0])); err != nil {
			return err
		}
		names = names[1:]
	}
	return nil
}

// giveWay keeps what the verdict is about to replace: the tail, or, of data that shares nothing with the upstream's and that
// a person gave up, everything. An error means that the data must not give way yet.
func (d *Driver) giveWay(own member.Data, v fence.Verdict) error {
	if v.Unrelated {
		return d.setAllAside(own)
	}
	return d.setAside(own, v.Common)
}

// setAllAside saves the whole data set beside its own file. Such files stay until a person removes them.
func (d *Driver) setAllAside(own member.Data) error {
	at := lastReign(own)
	name := setAsideName(uint64(at.Term), at.ReplID, uint64(own.Offset), ".rdb")
	if d.Divergent() == name {
		return nil // an earlier attempt to join got that far
	}
	d.o.Logf("A person gave up the data of this member, which is related to nobody's any more: it is saved in %s before it is replaced", filepath.Join(d.tails.dir, name))
	if err := d.node.SaveTo(context.Background(), filepath.Join(d.tails.dir, name)); err != nil {
		return fmt.Errorf("the data set, which a person gave up, cannot be saved in %s before it is replaced: %w; make room there, or delete the pod and its claim to lose it",
			d.tails.dir, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.divergent = name
	return nil
}

// forgetRemoved looks whether a person took the file away that reports name. It must be called without the lock: the disk may
// be slow, and reports must not be.
func (d *Driver) forgetRemoved() {
	name := d.Divergent()
	if name == "" {
		return
	}
	if _, err := d.tails.fs.Size(filepath.Join(d.tails.dir, name)); !fsys.IsNotExist(err) {
		return
	}
	left, err := openTails(d.tails.fs, d.tails.dir)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.divergent == name {
		d.divergent = left.last
	}
}

// setAside keeps what only this member has behind offset common before it gives way. An error means that it must not give
// way yet. The link's goroutine calls it, without any lock.
func (d *Driver) setAside(own member.Data, common int64) error {
	tail, err := d.node.Tail(common)
	if err != nil {
		d.o.Logf("The %d bytes of the stream behind offset %d, which only this member has, cannot be set aside: %v", own.Offset-common, common, err)
		return nil // gone since the restart or the wrap of the backlog: waiting brings nothing back
	}
	if tail.Writes == 0 {
		return nil
	}
	name, err := d.tails.keep(own, common, tail)
	if name == "" {
		return fmt.Errorf("%d writes behind offset %d that only this member has cannot be set aside in %s: %w; make room there, or delete the pod to lose them",
			tail.Writes, common, d.tails.dir, err)
	}
	d.o.Logf("The %d writes behind offset %d, which only this member has, are set aside in %s", tail.Writes, common, filepath.Join(d.tails.dir, name))
	if err != nil {
		d.o.Logf("Old files of this kind cannot be removed: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.divergent = name
	return nil
}

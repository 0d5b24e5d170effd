package link

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl"
)

// keptAsides is how many files of setAside stay; each is at most repl-backlog-size long.
const keptAsides = 8

// setAside keeps what the log holds behind an offset in a file in dir before a full sync replaces it: writes of a master that was
// replaced, which nobody else has. The file holds commands as an append-only file does, behind a line that begins with #, which its
// readers skip:
//
//	divergent-0-<replication ID>-<offset behind which the tail begins>.aof
//
// The 0 stands where a member of a ReplicaSet, whose driver writes the same kind of file, has its term. What cannot be kept is told
// in the log, and is no reason to refuse the new master: nobody but the one who gave the order could mend it. The link's goroutine
// calls it, without any lock.
func (n *Node) setAside(offset int64) {
	end := n.log.Offset()
	tail, err := n.Tail(offset)
	if err == nil && tail.Writes == 0 {
		return
	}
	name := fmt.Sprintf("divergent-0-%s-%d.aof", n.log.IDs().ID, offset)
	path := filepath.Join(n.s.Dir(), name)
	if err == nil {
		err = fsys.Replace(fsys.OS{}, path, func(w io.Writer) error {
			return aof.WriteTail(w, fmt.Sprintf("%d writes behind offset %d up to %d, made under replication ID %s and held by this server alone",
				tail.Writes, offset, end, n.log.IDs().ID), tail.DB, tail.Stream)
		})
	}
	if err != nil {
		n.logf(repl.Warning, fmt.Sprintf("The %d bytes of the stream behind offset %d, which the new master does not have, cannot be set aside: %v", end-offset, offset, err))
		return
	}
	n.logf(repl.Warning, fmt.Sprintf("The %d writes behind offset %d, which the new master does not have, are set aside in %s", tail.Writes, offset, path))
	n.mu.Lock()
	n.aside = name
	n.mu.Unlock()
	for old := n.asides(); len(old) > keptAsides; old = old[1:] {
		if err := os.Remove(filepath.Join(n.s.Dir(), old[0])); err != nil {
			n.logf(repl.Warning, "An old file of this kind cannot be removed: "+err.Error())
		}
	}
}

// asides lists the files of setAside, the oldest first.
func (n *Node) asides() []string {
	type file struct {
		name string
		at   time.Time
	}
	found, err := os.ReadDir(n.s.Dir())
	if err != nil {
		return nil
	}
	var files []file
	for _, f := range found {
		if ours, _ := filepath.Match("divergent-0-*.aof", f.Name()); !ours {
			continue
		}
		if info, err := f.Info(); err == nil {
			files = append(files, file{f.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.at.Compare(b.at) })
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.name
	}
	return names
}

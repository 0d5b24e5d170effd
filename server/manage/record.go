package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// State is a directory of small records: the one that outlives the process but not the pod, or, for Clean, the one of the data.
type State struct {
	FS  fsys.FS
	Dir string
}

const (
	recordFile   = "term.json"
	passwordFile = "password.json"
	cleanFile    = "clean-shutdown.json"
)

// Clean says that a process ended in order: the file of the data set holds all that it ever had, up to this place.
type Clean struct {
	ReplID string `json:"replid"`
	Offset int64  `json:"offset"`
}

// SaveClean returns when the mark is durable. Nothing may be applied, acknowledged or written afterwards.
func (s State) SaveClean(c Clean) error { return s.save(cleanFile, c) }

// TakeClean answers the mark of the process before, nil when it left none. The mark is gone for good when this returns: it
// speaks of one end only, so a process that takes it and is killed leaves none (rule 4).
func (s State) TakeClean() (*Clean, error) {
	var c Clean
	ok, err := s.load(cleanFile, &c)
	if !ok && err == nil {
		return nil, nil
	}
	if gone := errors.Join(s.FS.Remove(filepath.Join(s.Dir, cleanFile)), s.FS.SyncDir(s.Dir)); gone != nil {
		return nil, fmt.Errorf("the mark of a clean shutdown cannot be removed: %w", gone)
	}
	if err != nil {
		return nil, nil //nolint:nilerr // damaged: it proves nothing
	}
	return &c, nil
}

// load answers false when there is no such file.
func (s State) load(file string, into any) (bool, error) {
	text, err := fsys.ReadFile(s.FS, filepath.Join(s.Dir, file))
	if fsys.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(text, into)
}

// save returns when the file is durable.
func (s State) save(file string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return fsys.ReplaceBytes(s.FS, filepath.Join(s.Dir, file), append(text, '\n'))
}

// LoadPassword answers the hash of the password that the last rotation ended with, nil when there is none.
func (s State) LoadPassword() (*PasswordHash, error) {
	var h PasswordHash
	if ok, err := s.load(passwordFile, &h); !ok || err != nil {
		return nil, err
	}
	return &h, nil
}

// SavePassword returns when the hash is durable.
func (s State) SavePassword(h PasswordHash) error { return s.save(passwordFile, h) }

// recordRoom is how long the file of records grows before it is written anew.
const recordRoom = 64 << 10

// LoadRecord answers nil when there is no record. A damaged one is an error: pretending that there never
// was a term would let the member vouch for what it must not (S3). The last line counts; behind it the beginning of another may
// stand, which was never synced, so that no answer had left.
func (s State) LoadRecord() (*fence.Record, error) {
	path := filepath.Join(s.Dir, recordFile)
	text, err := fsys.ReadFile(s.FS, path)
	if fsys.IsNotExist(err) {
		return nil, nil
	}
	var r fence.Record
	if err == nil {
		if end := bytes.LastIndexByte(text, '\n'); end >= 0 {
			text = text[:end]
		}
		err = json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged or cannot be read (%w): delete it to let this member rejoin without a term", path, err)
	}
	return &r, nil
}

// SaveRecord returns when the record is durable. It is written behind the ones before: that takes one sync, where a new file
// takes two, and clients wait for it in every change of the master.
func (s State) SaveRecord(r fence.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, recordFile)
	before, err := fsys.ReadFile(s.FS, path)
	if err != nil || !bytes.HasSuffix(before, []byte("\n")) || len(before)+len(text) > recordRoom {
		return s.save(recordFile, r)
	}
	if s.appendSynced(path, append(text, '\n')) != nil {
		return s.save(recordFile, r) // whatever came of it: the file is written anew
	}
	return nil
}

func (s State) appendSynced(path string, line []byte) error {
	f, err := s.FS.OpenAppend(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(line); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

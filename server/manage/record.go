package manage

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// State is the directory that outlives the process but not the pod.
type State struct {
	FS  fsys.FS
	Dir string
}

const recordFile = "term.json"

// LoadRecord answers nil when there is no record. A damaged one is an error: pretending that there never
// was a term would let the member vouch for what it must not (S3).
func (s State) LoadRecord() (*fence.Record, error) {
	text, err := fsys.ReadFile(s.FS, filepath.Join(s.Dir, recordFile))
	if fsys.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r fence.Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): delete it to let this member rejoin without a term", filepath.Join(s.Dir, recordFile), err)
	}
	return &r, nil
}

// SaveRecord returns when the record is durable.
func (s State) SaveRecord(r fence.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return fsys.ReplaceBytes(s.FS, filepath.Join(s.Dir, recordFile), append(text, '\n'))
}

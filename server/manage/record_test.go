package manage

import (
	"errors"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
)

const recordPath = "/run/" + recordFile

func record(t member.Term) fence.Record { return fence.Record{SetUID: setUID, Term: t} }

// A record that was answered for is there after a loss of power, and no older one.
func TestTheNewestRecordSurvivesALossOfPower(t *testing.T) {
	m := fsys.NewMem()
	for term := member.Term(1); term < 2000; term++ {
		if err := (State{FS: m, Dir: "/run"}).SaveRecord(record(term)); err != nil {
			t.Fatal(err)
		}
		if term%50 != 0 {
			continue
		}
		m.Crash()
		rec, err := State{FS: m, Dir: "/run"}.LoadRecord()
		if err != nil || rec == nil || rec.Term != term {
			t.Fatalf("%+v %v after term %d", rec, err, term)
		}
		if size, err := m.Size(recordPath); err != nil || size > recordRoom {
			t.Fatalf("%d bytes, %v", size, err)
		}
	}
}

// What was being written when the power went was never answered for: the record before it counts, and the next one is whole.
func TestATornRecordIsNotRead(t *testing.T) {
	m := fsys.NewMem()
	s := State{FS: m, Dir: "/run"}
	if err := errors.Join(s.SaveRecord(record(1)), s.SaveRecord(record(2)), s.appendSynced(recordPath, []byte(`{"set":"`+setUID+`","ter`))); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.LoadRecord(); err != nil || rec.Term != 2 {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := s.SaveRecord(record(3)); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.LoadRecord(); err != nil || rec.Term != 3 {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := s.appendSynced(recordPath, []byte("what nobody wrote\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadRecord(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged record was read: %v", err)
	}
}

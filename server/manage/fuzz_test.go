package manage

import (
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/repl/fence"
)

// FuzzRecord: a term record is read or refused; what is read is written and read to the same.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte("null"))
	f.Add([]byte(""))
	f.Add([]byte("{\"Term\":7,\"Master\":\"x\"}"))
	f.Add([]byte("{\"Term\":-1}"))
	f.Add([]byte("{\"term\":7} trailing"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := State{FS: fsys.NewMem(), Dir: "/"}
		if err := fsys.ReplaceBytes(s.FS, filepath.Join(s.Dir, recordFile), text); err != nil {
			t.Fatal(err)
		}
		r, err := s.LoadRecord()
		if err != nil {
			return
		}
		if err := s.SaveRecord(*r); err != nil {
			t.Fatal(err)
		}
		if again, err := s.LoadRecord(); err != nil || encode(r) != encode(again) {
			t.Fatalf("%+v became %+v (%v)", r, again, err)
		}
	})
}

// FuzzHandshake: no word of a replica or a feeder panics.
func FuzzHandshake(f *testing.F) {
	f.Add(encode(fence.SyncRequest{}), encode(fence.SyncOffer{}), "VOUCH")
	f.Add("", "x", "18446744073709551616")
	f.Add(base64.StdEncoding.EncodeToString([]byte("{\"Data\":{\"history\":[{}]}}")), "bnVsbA==", "-1")
	f.Fuzz(func(t *testing.T, request, offer, word string) {
		var q fence.SyncRequest
		var o fence.SyncOffer
		if decode(request, &q) == nil && decode(encode(q), &q) != nil {
			t.Fatalf("%+v cannot be said again", q)
		}
		if decode(offer, &o) == nil && decode(encode(o), &o) != nil {
			t.Fatalf("%+v cannot be said again", o)
		}
		v, err := parseVoucher([]string{word, word, word, word})
		if err != nil {
			return
		}
		if again, err := parseVoucher(appendVoucher(nil, v)[1:]); err != nil || again != v {
			t.Fatalf("%+v became %+v (%v)", v, again, err)
		}
	})
}

package command

import (
	"testing"

	"github.com/understudy-db/understudy/server/store"
)

// COPY's target may be swapped away while the value is made, and come back before it gets its key.
func TestPartOfACopyIsGivenUp(t *testing.T) {
	s, key := store.New(store.Options{}), []byte("k")
	m := &Made{kind: store.SetKind, key: key, elsewhere: true, target: 1, copy: &copiedCursor{}}
	m.loose = s.DB(1).NewLoose(key, m.kind)
	m.loose.Add([]byte("first"))
	s.SwapDB(1, 2)
	if !m.Step(s.DB(0)) {
		t.Fatal("the copy goes on in a database that has other contents")
	}
	s.SwapDB(1, 2)
	c := &Ctx{made: m, Store: s, DB: s.DB(0)}
	if c.attachIn(s.DB(1), key) {
		t.Fatal("a part of a copy got the key")
	}
}

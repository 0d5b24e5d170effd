package engine

import (
	"github.com/understudy-db/understudy/server/command"
)

// ownKeys are the keys with an expiry that clients wrote on a writable replica. Their master does not know them, so no
// DEL will come: the replica expires them itself. What it has from its master it never does.
type ownKeys map[ownKey]struct{}

type ownKey struct {
	db  int
	key string
}

// noteOwn remembers the keys that a client's command on a writable replica left with an expiry.
func (l *Lane) noteOwn(cmd *command.Cmd, args [][]byte) {
	e, db := l.e, l.ctx.DBIndex
	refs, _ := cmd.KeysOf(nil, args)
	for _, r := range refs {
		key := args[r.Pos]
		if x, ok := e.store.DB(db).Peek(key); !ok || x.ExpireAt() == 0 {
			continue
		}
		if e.own == nil {
			e.own = ownKeys{}
		}
		e.own[ownKey{db, string(key)}] = struct{}{}
	}
}

// expireOwn deletes the own keys whose time has come. Once the server is a master the usual cycle does that.
func (e *Engine) expireOwn() {
	e.Background(func() (more bool) {
		if !e.Is(Replica) {
			e.own = nil
		}
		if len(e.own) == 0 || e.State()&(Loading|pausedAll|pausedWrites) != 0 {
			return false
		}
		l := e.bg
		l.enter()
		now, looked := l.nowMS(), 0
		for k := range e.own {
			if looked++; looked > expireBatch {
				break // the map's order is random: the others have their turn
			}
			l.ctx.DBIndex, l.ctx.DB = k.db, e.store.DB(k.db)
			x, ok := l.ctx.DB.Peek([]byte(k.key))
			switch {
			case !ok || x.ExpireAt() == 0:
				delete(e.own, k)
			case x.Expired(now):
				l.ctx.DeleteExpired([]byte(k.key))
				l.endUnit()
				delete(e.own, k)
			}
		}
		return false
	})
}

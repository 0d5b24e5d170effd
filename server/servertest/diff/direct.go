package diff

import (
	"bytes"
	"fmt"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/store"
)

// Direct calls the handlers without an engine, a session or a socket: what differs here is the handler's own.
type Direct struct {
	Table   *command.Table
	Ctx     *command.Ctx
	Effects [][]string     // every effect so far
	Events  []string       // every keyspace event so far
	Long    map[string]int // by name, how often a command went on after its handler
	lastDB  int
}

// NewDirect returns an empty side.
func NewDirect() *Direct {
	s := store.New(store.Options{Seed: 7})
	d := &Direct{Table: command.NewTable(), Long: map[string]int{}, lastDB: -1}
	d.Ctx = &command.Ctx{Store: s, DB: s.DB(0), Out: resp.NewWriter(nil), Conf: &command.Config{HLLSparseMax: 3000}, Env: d}
	return d
}

// Modified implements command.Env.
func (d *Direct) Modified(int, []byte) {}

// Expired implements command.Env.
func (d *Direct) Expired(int, []byte) {}

// Wake implements command.Env.
func (d *Direct) Wake(int, []byte) {}

// Flushed implements command.Env.
func (d *Direct) Flushed(int) {}

// Swapped implements command.Env.
func (d *Direct) Swapped(int, int, int64) {}

// Block implements command.Env: nobody comes, so the time is up at once.
func (d *Direct) Block(c *command.Ctx, w command.Wait) bool {
	w.Expired(c.Out)
	return true
}

// GoOn implements command.Env: nobody else wants the store meanwhile, so the rest of the command runs at once.
func (d *Direct) GoOn(c *command.Ctx, begin func() *command.Long) bool {
	long := begin()
	if long == nil {
		return false
	}
	if long.Piece != nil {
		d.inPieces(c, long)
		return true
	}
	for !long.Step() {
	}
	for long.Between != nil {
		between := long.Between
		long.Between = nil
		between()
		for !long.Step() {
		}
	}
	long.End()
	if long.Rest != nil {
		long.Rest()
	}
	d.Long[c.Cmd.FullName]++
	if long.Made != nil {
		for !long.Made.Step(c.DB) {
		}
		c.With(long.Made)
		c.Cmd.Handler(c)
		c.With(nil)
		return true
	}
	long.Reply.MoveTo(c.Out)
	return true
}

func (d *Direct) inPieces(c *command.Ctx, long *command.Long) {
	out := c.Out
	for done := false; !done; {
		c.Out = long.Reply.Next()
		done = long.Piece(c)
	}
	long.End()
	c.Out = out
	d.Long[c.Cmd.FullName]++
	long.Reply.MoveTo(out)
}

// Notify implements command.Env.
func (d *Direct) Notify(db int, _ command.EventClass, event string, key []byte) {
	d.Events = append(d.Events, fmt.Sprintf("%d %s %q", db, event, key))
}

// Do implements Doer.
func (d *Direct) Do(args ...string) resp.Value {
	words := make([][]byte, len(args))
	for i, a := range args {
		words[i] = []byte(a)
	}
	c := d.Ctx
	c.Out.Reset()
	c.Now = time.Now().UnixMilli()
	c.Store.Tick(c.Now)
	switch cmd := d.Table.Resolve(words); {
	case cmd == nil:
		c.Out.Error(d.Table.UnknownError(words))
	case !cmd.ArityOK(len(words)):
		c.Out.Error(cmd.ArityError())
	case cmd.FullName == "select":
		c.DBIndex = int(args[1][0] - '0')
		if len(args[1]) > 1 {
			c.DBIndex = 10 + int(args[1][1]-'0')
		}
		c.DB = c.Store.DB(c.DBIndex)
		c.Out.OK()
	case cmd.Handler == nil:
		panic("diff: nobody serves " + cmd.FullName + " here")
	default:
		c.Begin(cmd, words)
		cmd.Handler(c)
		c.Finish()
	}
	d.takeEffects()
	return d.reply()
}

func (d *Direct) reply() resp.Value {
	var out bytes.Buffer
	d.Ctx.Out.Segments(0, d.Ctx.Out.Len(), func(plain []byte, blob resp.Blob) {
		out.Write(plain)
		if blob != nil {
			out.Write(blob.Bytes())
			blob.Release()
		}
	})
	r := resp.NewReader(&out)
	v, err := r.Read()
	if err != nil {
		panic(fmt.Sprintf("diff: the handler's reply is not whole: %v: %q", err, d.Ctx.Out.Bytes()))
	}
	if rest := r.Buffered().Buffered() + out.Len(); rest != 0 {
		panic(fmt.Sprintf("diff: %d bytes behind the handler's reply", rest))
	}
	return v
}

// takeEffects adds the effects as the stream would carry them: SELECT on a change, MULTI/EXEC around several.
func (d *Direct) takeEffects() {
	list := d.Ctx.Effects()
	if len(list) > 1 {
		d.Effects = append(d.Effects, []string{"MULTI"})
	}
	for _, e := range list {
		if e.DB != d.lastDB {
			d.Effects = append(d.Effects, []string{"SELECT", fmt.Sprint(e.DB)})
			d.lastDB = e.DB
		}
		v, err := resp.NewReader(bytes.NewReader(e.Bytes)).Read()
		if err != nil {
			panic(err)
		}
		var words []string
		for _, w := range v.Elems {
			words = append(words, string(w.Str))
		}
		d.Effects = append(d.Effects, words)
	}
	if len(list) > 1 {
		d.Effects = append(d.Effects, []string{"EXEC"})
	}
	d.Ctx.ResetEffects()
}

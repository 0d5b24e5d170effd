package command

import "github.com/understudy-db/understudy/server/resp"

// Effect is one command for the replication stream and the file.
type Effect struct {
	DB    int
	Bytes []byte // encoded as a protocol array
	Cmd   *Cmd   // the command itself when it is its own effect; nil for a rewritten one
	Skip  Skip   // who does not get it
}

// Skip keeps an effect from some of its readers.
type Skip uint8

// The readers.
const (
	SkipReplicas Skip = 1 << iota
	SkipFile
)

// effects collects encoded commands in one buffer that is reused.
type effects struct {
	buf  []byte
	list []Effect
}

func (e *effects) add(db int, args [][]byte) {
	start := len(e.buf)
	e.buf = resp.AppendCommand(e.buf, args...)
	e.list = append(e.list, Effect{DB: db, Bytes: e.buf[start:len(e.buf):len(e.buf)]})
}

// keepFrom keeps the latest effect from some readers.
func (e *effects) keepFrom(skip Skip) { e.list[len(e.list)-1].Skip = skip }

// addCommand adds a command that is its own effect, under its canonical name.
func (e *effects) addCommand(db int, cmd *Cmd, args [][]byte) {
	if cmd.renamed() {
		called := args[0]
		args[0] = cmd.canonicalBytes
		e.add(db, args)
		args[0] = called
	} else {
		e.add(db, args)
	}
	e.list[len(e.list)-1].Cmd = cmd
}

// keepBuffer bounds the memory that an idle context holds on to.
const keepBuffer = 64 << 10

func (e *effects) reset() {
	if cap(e.buf) > keepBuffer {
		e.buf = nil
	}
	e.buf = e.buf[:0]
	clear(e.list)
	e.list = e.list[:0]
}

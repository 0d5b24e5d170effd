package session

import "github.com/understudy-db/understudy/server/command"

// The drawing of LOLWUT: a labyrinth of slashes, another one each time.
const lolwutWide, lolwutHigh = 48, 8

func lolwut(ctx *command.Ctx) {
	text := make([]byte, 0, (lolwutWide+1)*lolwutHigh+40)
	for range lolwutHigh {
		bits := ctx.Random()
		for i := range lolwutWide {
			text = append(text, `/\`[bits>>i&1])
		}
		text = append(text, '\n')
	}
	ctx.Out.Verbatim("txt", string(text)+"\nRedis ver. "+Version+"\n")
}

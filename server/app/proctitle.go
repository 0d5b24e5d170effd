package app

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/understudy-db/understudy/server/settings"
)

// procTitle is what ps shows of the process: proc-title-template with its variables filled in. It also hides the arguments,
// among which a password may be.
type procTitle struct {
	cfg     *settings.Settings
	program string // as it was called

	mu   sync.Mutex
	room []byte // where the kernel reads the arguments; nil where that is not known
}

// titleRoom is the memory of this process' arguments, once Args has moved these out of it.
var titleRoom []byte

// Args returns the process' arguments without the program's name, in memory of their own: what the runtime hands out lies where
// a title will be written.
func Args() []string {
	for i := range os.Args {
		os.Args[i] = strings.Clone(os.Args[i])
	}
	titleRoom = argumentMemory()
	return os.Args[1:]
}

func newProcTitle(cfg *settings.Settings) *procTitle {
	return &procTitle{cfg: cfg, program: os.Args[0], room: titleRoom}
}

// show writes the title, as much of it as there is room for, and zeroes behind it.
func (p *procTitle) show() {
	if len(p.room) == 0 || !p.cfg.Bool(settings.SetProcTitle) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := copy(p.room[:len(p.room)-1], p.text())
	clear(p.room[n:])
}

func (p *procTitle) text() string {
	cfg := p.cfg
	port, secure := cfg.Int(settings.Port), cfg.Int(settings.TLSPort)
	fill := strings.NewReplacer("{title}", p.program, "{listen-addr}", p.listens(), "{server-mode}", "", // [cluster] or [sentinel] in Redis
		"{port}", fmt.Sprint(port), "{tls-port}", fmt.Sprint(secure), "{unixsocket}", cfg.String(settings.UnixSocket), "{config-file}", cfg.File())
	return strings.Trim(fill.Replace(cfg.String(settings.ProcTitleTemplate)), " ")
}

// listens is the first address that the server listens on.
func (p *procTitle) listens() string {
	port := p.cfg.Int(settings.Port)
	if port == 0 {
		port = p.cfg.Int(settings.TLSPort)
	}
	if port == 0 {
		return p.cfg.String(settings.UnixSocket)
	}
	addr := "*"
	if list := p.cfg.Bind(); len(list) > 0 {
		addr = list[0]
	}
	return fmt.Sprintf("%s:%d", addr, port)
}

// argumentBounds reads from the text of /proc/self/stat where the arguments begin and where the environment, which lies behind
// them, ends.
func argumentBounds(stat []byte) (start, end uintptr, ok bool) {
	const startField, endField = 48, 51         // arg_start and env_end, counted from 1
	name := bytes.LastIndex(stat, []byte(") ")) // it may have spaces and parentheses itself
	if name < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(stat[name+2:])) // from the third on
	if len(fields) <= endField-3 {
		return 0, 0, false
	}
	if _, err := fmt.Sscan(fields[startField-3], &start); err != nil {
		return 0, 0, false
	}
	if _, err := fmt.Sscan(fields[endField-3], &end); err != nil {
		return 0, 0, false
	}
	return start, end, start > 0 && end > start
}

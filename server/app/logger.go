package app

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/settings"
)

// Logger writes lines in Redis' format, which tools parse:
//
//	1234:M 02 Jan 2006 15:04:05.000 * text
//
// M is the role (M master, S replica), the mark the level (. debug, - verbose, * notice, # warning).
type Logger struct {
	level atomic.Int64
	role  atomic.Int32
	path  string // "" writes to out
	out   io.Writer
	mu    sync.Mutex
}

// NewLogger logs to the file at path, opened for each line so that a log can be rotated by renaming it; to out when
// path is empty.
func NewLogger(path string, level int64, out io.Writer) *Logger {
	l := &Logger{path: path, out: out}
	l.level.Store(level)
	l.role.Store('M')
	return l
}

// SetLevel follows the directive loglevel.
func (l *Logger) SetLevel(level int64) { l.level.Store(level) }

// SetReplica chooses the role's letter.
func (l *Logger) SetReplica(on bool) {
	if on {
		l.role.Store('S')
	} else {
		l.role.Store('M')
	}
}

// The levels, by their directive's values.
func (l *Logger) Debugf(format string, args ...any)   { l.logf(settings.LogDebug, format, args...) }
func (l *Logger) Verbosef(format string, args ...any) { l.logf(settings.LogVerbose, format, args...) }
func (l *Logger) Noticef(format string, args ...any)  { l.logf(settings.LogNotice, format, args...) }
func (l *Logger) Warningf(format string, args ...any) { l.logf(settings.LogWarning, format, args...) }

func (l *Logger) logf(level int64, format string, args ...any) {
	if level < l.level.Load() {
		return
	}
	line := fmt.Appendf(nil, "%d:%c %s %c ", os.Getpid(), l.role.Load(), time.Now().Format("02 Jan 2006 15:04:05.000"), ".-*#"[level])
	line = append(fmt.Appendf(line, format, args...), '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		_, _ = l.out.Write(line) // there is no better place to say so
		return
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return // as above
	}
	_, _ = f.Write(line)
	f.Close()
}

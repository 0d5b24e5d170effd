package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
)

// shownBytes is how much of a word `--show` prints.
const shownBytes = 256

// show prints the commands of a file that holds some: a divergent-*.aof, which has the writes that only a replaced master had, or a
// part of an append-only file that is no RDB. A line is a command's database (? when the file does not tell it) and its words, as MONITOR
// prints them; the last one counts the commands. It returns the exit code: 1 when the file cannot be read to its end.
func show(path string, stdout, stderr io.Writer) int {
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer f.Close()
	out := bufio.NewWriter(stdout)
	defer func() { _ = out.Flush() }() // a reader that left wants no more
	in := bufio.NewReader(f)
	if first, _ := in.Peek(1 << 10); strings.HasPrefix(string(first), "#") {
		head, _, _ := strings.Cut(string(first), "\n")
		fmt.Fprintln(out, strings.TrimRight(head, "\r"))
	}
	l := lister{out: out, db: oplog.NoDB, counts: map[string]int{}}
	err = l.list(aof.NewReader(in, 0))
	l.summary()
	if err != nil {
		_ = out.Flush()
		fmt.Fprintf(stderr, "%s: %v\n", path, err)
		return 1
	}
	return 0
}

// lister prints commands and counts them.
type lister struct {
	out    *bufio.Writer
	db     int
	line   []byte
	counts map[string]int
}

// list reads to the end of the file.
func (l *lister) list(r *aof.Reader) error {
	for {
		cmds, err := r.Batch()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, words := range cmds {
			l.command(words)
		}
	}
}

func (l *lister) command(words [][]byte) {
	name := strings.ToUpper(string(words[0]))
	l.counts[name]++
	if name == "SELECT" && len(words) == 2 {
		if db, err := strconv.Atoi(string(words[1])); err == nil {
			l.db = db
		}
	}
	l.line = append(l.line[:0], "[?]"...)
	if l.db != oplog.NoDB {
		l.line = fmt.Appendf(l.line[:0], "[%d]", l.db)
	}
	for _, w := range words {
		l.line = resp.AppendQuoted(append(l.line, ' '), w[:min(len(w), shownBytes)])
		if len(w) > shownBytes {
			l.line = fmt.Appendf(l.line, "... (%d bytes)", len(w))
		}
	}
	_, _ = l.out.Write(append(l.line, '\n'))
}

func (l *lister) summary() {
	total := 0
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		total += l.counts[name]
		parts = append(parts, fmt.Sprintf("%d %s", l.counts[name], name))
	}
	fmt.Fprintf(l.out, "# %d commands", total)
	if total > 0 {
		fmt.Fprintf(l.out, ": %s", strings.Join(parts, ", "))
	}
	fmt.Fprintln(l.out)
}

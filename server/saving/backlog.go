package saving

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/understudy-db/understudy/server/aof"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/rdb"
	"github.com/understudy-db/understudy/server/settings"
)

// A base has no bytes of the stream, so a rewrite would take what replicas that are a little behind need after a restart. The increments
// before it have them, but may be as long as the data set; so the end of the stream before the cut, as the backlog has it, is put into a file
// of its own beside the parts. Redis does not know it and needs not:
//
//	understudy backlog <replication ID> <offset before the bytes> <how many>\n
//	bytes of the stream
//	<CRC-64 of them, 16 digits>\n
//
// An ID names one history for ever (S9), so whatever file is found is right or of another history; it need not be of this very base.
const backlogFile = "understudy.backlog"

const backlogHead = "understudy backlog %s %d %d\n"

// keepBacklog writes that file for a base of the place at; what fails costs full syncs only.
func (a *appender) keepBacklog(at oplog.Mark) {
	name := a.dir().Part(backlogFile)
	err := oplog.ErrGone
	if at.ID != "" && at.Whole {
		err = a.writeBacklog(name, at)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, oplog.ErrGone) {
		a.s.logf(settings.LogWarning, "The backlog before the new AOF base cannot be kept: %v. Replicas that are behind at the next start may need a full sync", err)
	}
	_ = a.s.fs.Remove(name) // costs space only
}

func (a *appender) writeBacklog(name string, at oplog.Mark) error {
	c, err := a.log.Past(at.ID, at.Offset)
	if err != nil {
		return err
	}
	defer c.Close()
	return fsys.Replace(a.s.fs, name, func(f io.Writer) error {
		w := bufio.NewWriterSize(f, 64<<10)
		left := at.Offset - c.Offset()
		fmt.Fprintf(w, backlogHead, at.ID, c.Offset(), left)
		var crc uint64
		for left > 0 && a.s.ctx.Err() == nil {
			pieces, err := c.Read(nil, int(min(left, writeSize)))
			if err != nil || len(pieces) == 0 {
				return errors.Join(oplog.ErrGone, err)
			}
			n := 0
			for _, p := range pieces {
				crc = rdb.CRC64(crc, p)
				_, _ = w.Write(p) // Flush tells
				n += len(p)
			}
			c.Advance(n)
			left -= int64(n)
		}
		fmt.Fprintf(w, "%016x\n", crc)
		return errors.Join(w.Flush(), a.s.ctx.Err())
	})
}

// recallBacklog gives the tail what was before the base, which has been loaded.
func (l *partsLoader) recallBacklog() {
	err := l.readBacklog()
	if err == nil {
		return
	}
	l.tail.Lose()
	if !fsys.IsNotExist(err) {
		l.a.s.logf(settings.LogNotice, "%s is of no use: %v", backlogFile, err)
	}
}

var errBacklog = errors.New("it is damaged")

func (l *partsLoader) readBacklog() error {
	f, err := l.a.s.fs.Open(l.d.Part(backlogFile))
	if err != nil {
		return err
	}
	defer f.Close()
	var at aof.Place
	var left int64
	in := bufio.NewReaderSize(f, 64<<10)
	head, err := in.ReadString('\n')
	if n, _ := fmt.Sscanf(head, backlogHead, &at.ID, &at.Offset, &left); err != nil || n != 3 || left < 0 {
		return errBacklog
	}
	end := l.place.Offset
	if at.ID != l.place.ID || at.Offset > end || at.Offset+left < end {
		return nil // it belongs to another base
	}
	var crc, want uint64
	for buf := make([]byte, 64<<10); left > 0; {
		p := buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(in, p); err != nil {
			return errBacklog
		}
		crc = rdb.CRC64(crc, p)
		if n := min(int64(len(p)), end-at.Offset); n > 0 {
			l.tail.Add(at.ID, at.Offset, p[:n])
		}
		at.Offset += int64(len(p))
		left -= int64(len(p))
	}
	if n, _ := fmt.Fscanf(in, "%016x\n", &want); n != 1 || crc != want {
		return errBacklog
	}
	return nil
}

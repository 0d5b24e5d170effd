package snapshot

import (
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-db/understudy/server/rdb"
)

// runSize is how much goes to the spill file at once, about, and is one piece from then on: what is known of a piece takes a
// hundred bytes, and many hold little more than a kilobyte.
const runSize = 256 << 10

// spill moves pieces to the file while more than SpillAt bytes wait in memory, until the queue is closed or failed.
func (q *queue) spill() {
	for {
		run, p := q.victims()
		if p == nil {
			return
		}
		if err := q.spillRun(run, p); err != nil {
			q.abort(fmt.Errorf("snapshot: spilling pre-images behind a slow consumer: %w", err))
			return
		}
	}
}

// victims waits for pieces that should go to the file: neighbours, and the piece that stands in their place from now on.
func (q *queue) victims() (run []*piece, p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.fail == nil && !q.closed {
		if q.bytes > q.opts.SpillAt {
			for _, s := range []*stream{&q.aside, &q.main} {
				if run, p = q.runLocked(s); p != nil {
					return run, p
				}
			}
			for p = range q.all { // of a value whose turn has not come
				if p.loose() {
					p.busy = true
					delete(q.all, p)
					return []*piece{p}, p
				}
			}
		}
		q.change.Wait()
	}
	return nil, nil
}

// runLocked takes the last pieces of a stream that may go to the file.
func (q *queue) runLocked(s *stream) (run []*piece, p *piece) {
	if s.loose == 0 {
		return nil, nil
	}
	end := len(s.pieces)
	for !s.pieces[end-1].loose() {
		end--
	}
	from, size := end-1, s.pieces[end-1].size
	for from > 0 && s.pieces[from-1].loose() && size+s.pieces[from-1].size <= runSize {
		from--
		size += s.pieces[from].size
	}
	run = slices.Clone(s.pieces[from:end])
	for _, p := range run {
		delete(q.all, p)
	}
	s.loose -= len(run)
	if len(run) == 1 {
		run[0].busy = true
		return run, run[0]
	}
	p = &piece{busy: true, size: size}
	s.pieces[from] = p
	s.pieces = slices.Delete(s.pieces, from+1, end)
	return run, p
}

// spillRun writes a run and makes p stand for it. A string that is to be encoded is, but for one that goes out in parts.
func (q *queue) spillRun(run []*piece, p *piece) (err error) {
	if q.file == nil {
		if q.opts.Spill == nil {
			err = errors.New("no spill file is configured")
		} else {
			q.file, err = q.opts.Spill()
		}
	}
	data, whole := p.data, len(run) == 1 && (!p.encode || p.size > compressMax)
	if !whole {
		data = q.encoded(run)
	}
	if err == nil {
		_, err = q.file.WriteAt(data, q.spillN)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	p.busy = false
	if err != nil {
		for _, p := range run { // drop releases them
			q.all[p] = struct{}{}
		}
		return err
	}
	p.spilled, p.at, p.stored = true, q.spillN, len(data)
	p.encode = p.encode && whole
	q.spillN += int64(len(data))
	for _, o := range run {
		q.bytes -= o.size
		q.releaseLocked(o)
	}
	q.change.Broadcast()
	return nil
}

// encoded is a run's bytes as they go out.
func (q *queue) encoded(run []*piece) []byte {
	b := q.room[:0]
	for _, p := range run {
		if !p.encode {
			b = append(b, p.data...)
			continue
		}
		try, from := !q.opts.NoCompress && q.effort.pays(), len(b)
		b = rdb.AppendString(b, p.data, try)
		if try {
			q.effort.result(len(b)-from < p.size)
		}
	}
	if cap(b) <= 2*runSize { // a long string's is not kept
		q.room = b
	}
	return b
}

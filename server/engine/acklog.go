package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// AckInterval is a span of the boot clock (nanoseconds, both ends included) in which a server acknowledged writes under
// one epoch of its gate. Epochs of later processes that record into the same file are higher. From its first to its last
// acknowledgement an epoch of one server never overlaps one of another server on the same machine (S1).
type AckInterval struct {
	Epoch       uint64 // run of the process << 32 | epoch of its gate
	First, Last int64
}

const (
	ackMagic   = "understudy-acks1"
	ackRecord  = 24
	ackRecords = 1 << 16
	ackSize    = len(ackMagic) + ackRecord*ackRecords
	// ackJoin: acknowledgements closer than this belong to one interval. It is far below any time in which a right to
	// write can move, so joining cannot make or hide an overlap of rights.
	ackJoin = int64(1e6)
)

// ackLog keeps intervals in a shared mapping of a file, so that they outlive the process however it ends. It is
// evidence for tests, off unless the directive ack-log names a file.
type ackLog struct {
	mu   sync.Mutex
	data []byte
	n    int    // records in use
	run  uint64 // of this process, counted from 1
}

// RecordAcks keeps the intervals in which writes are acknowledged in a file, appended to what earlier processes left
// there. Call it before clients come.
func (g *Gate) RecordAcks(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(ackSize)); err != nil {
		return err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, ackSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	l := &ackLog{data: data}
	copy(data, ackMagic)
	for l.n < ackRecords && l.at(l.n).First != 0 {
		l.n++
	}
	l.run = 1
	if l.n > 0 {
		l.run = l.at(l.n-1).Epoch>>32 + 1
	}
	g.acks = l
	return nil
}

func (l *ackLog) record(i int) []byte {
	return l.data[len(ackMagic)+i*ackRecord:][:ackRecord]
}

func (l *ackLog) at(i int) AckInterval { return decodeAck(l.record(i)) }

func decodeAck(r []byte) AckInterval {
	le := binary.LittleEndian
	return AckInterval{Epoch: le.Uint64(r), First: int64(le.Uint64(r[8:])), Last: int64(le.Uint64(r[16:]))}
}

// add notes that replies to writes under epoch leave now.
func (l *ackLog) add(epoch uint64, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	le := binary.LittleEndian
	epoch |= l.run << 32
	if l.n > 0 {
		if last := l.at(l.n - 1); last.Epoch == epoch && now-last.Last < ackJoin {
			le.PutUint64(l.record(l.n - 1)[16:], uint64(max(now, last.Last)))
			return
		}
	}
	if l.n == ackRecords {
		return // full: 65,536 separate intervals are far more than any test makes
	}
	r := l.record(l.n)
	le.PutUint64(r, epoch)
	le.PutUint64(r[16:], uint64(now))
	le.PutUint64(r[8:], uint64(now)) // First last: a record without it does not count
	l.n++
}

// ParseAcks reads the content of a file that RecordAcks wrote.
func ParseAcks(raw []byte) ([]AckInterval, error) {
	if len(raw) != ackSize || string(raw[:len(ackMagic)]) != ackMagic {
		return nil, errors.New("not a record of acknowledgements")
	}
	var all []AckInterval
	for i := range ackRecords {
		a := decodeAck(raw[len(ackMagic)+i*ackRecord:])
		if a.First == 0 {
			break
		}
		all = append(all, a)
	}
	return all, nil
}

package rdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"sync"

	"github.com/understudy-db/understudy/server/listpack"
)

// AppendMagic begins a file; version is Version unless the reader is known to take another.
func AppendMagic(dst []byte, version int) []byte { return fmt.Appendf(dst, "REDIS%04d", version) }

// AppendAux writes one auxiliary field; readers ignore names they do not know.
func AppendAux(dst []byte, name, value string) []byte {
	dst = append(dst, opAux)
	dst = AppendString(dst, []byte(name), false)
	return AppendString(dst, []byte(value), false)
}

// AppendFunction writes the source of a function library.
func AppendFunction(dst, code []byte, compress bool) []byte {
	return AppendString(append(dst, opFunction2), code, compress)
}

// AppendSelectDB says that the entries that follow belong to database db.
func AppendSelectDB(dst []byte, db int) []byte { return AppendLen(append(dst, opSelectDB), uint64(db)) }

// AppendResizeDB tells how many keys, and keys with expiry, the database holds: a hint.
func AppendResizeDB(dst []byte, keys, expires int) []byte {
	return AppendLen(AppendLen(append(dst, opResizeDB), uint64(keys)), uint64(expires))
}

// AppendExpireMS precedes an entry that expires at the unix time in milliseconds.
func AppendExpireMS(dst []byte, at int64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, opExpireMS), uint64(at))
}

// AppendIdle precedes an entry with the seconds since its last use (LRU policies).
func AppendIdle(dst []byte, seconds uint64) []byte { return AppendLen(append(dst, opIdle), seconds) }

// AppendFreq precedes an entry with its access frequency (LFU policies).
func AppendFreq(dst []byte, freq byte) []byte { return append(dst, opFreq, freq) }

// AppendEOF ends a file. crc is CRC64 over everything before this call, which AppendEOF continues over
// its own first byte; with checksum false zeros stand for "not computed".
func AppendEOF(dst []byte, crc uint64, checksum bool) []byte {
	dst = append(dst, opEOF)
	if !checksum {
		return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	return binary.LittleEndian.AppendUint64(dst, CRC64(crc, dst[len(dst)-1:]))
}

// AppendLen writes a length in the fewest bytes.
func AppendLen(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, len32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, len64), n)
}

// minCompress is the length from which compressing is tried, as in Redis.
const minCompress = 21

// maxCompress keeps LZF's 32-bit table valid; longer strings are written as they are.
const maxCompress = math.MaxInt32 - 1

var lzfTables = sync.Pool{New: func() any { return new(lzfTable) }}

// AppendString writes a string: as an integer when it is the decimal form of one of 32 bits,
// compressed when asked for and shorter that way, as it is otherwise.
func AppendString(dst, s []byte, compress bool) []byte {
	if n, ok := canonicalInt32(s); ok {
		return appendInt32(dst, n)
	}
	if compress && len(s) >= minCompress && len(s) <= maxCompress {
		if out, ok := appendLZF(dst, s); ok {
			return out
		}
	}
	return append(AppendLen(dst, uint64(len(s))), s...)
}

// AppendInt writes the decimal form of n as a string.
func AppendInt(dst []byte, n int64) []byte {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return appendInt32(dst, int32(n))
	}
	var b [20]byte
	return AppendString(dst, strconv.AppendInt(b[:0], n, 10), false)
}

func appendInt32(dst []byte, n int32) []byte {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		return append(dst, encInt8, byte(n))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return binary.LittleEndian.AppendUint16(append(dst, encInt16), uint16(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, encInt32), uint32(n))
}

func canonicalInt32(s []byte) (int32, bool) {
	if len(s) == 0 || len(s) > 11 {
		return 0, false
	}
	n, ok := listpack.ParseInt(s)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, false
	}
	return int32(n), true
}

// appendLZF writes the compressed form when it saves at least four bytes.
func appendLZF(dst, s []byte) ([]byte, bool) {
	table := lzfTables.Get().(*lzfTable)
	defer lzfTables.Put(table)
	mark := len(dst)
	// The head with both lengths stands before the bytes: compress behind a gap of its largest size.
	const gap = 1 + 5 + 5
	dst = append(dst, make([]byte, gap)...)
	dst, ok := lzfCompress(dst, s, len(s)-4, table)
	if !ok {
		return dst[:mark], false
	}
	body := dst[mark+gap:]
	dst = append(dst[:mark], encLZF)
	dst = AppendLen(dst, uint64(len(body)))
	dst = AppendLen(dst, uint64(len(s)))
	return append(dst, body...), true // moves the body down over what is left of the gap
}

// AppendStringEntry writes a whole string entry.
func AppendStringEntry(dst, key, value []byte, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeString)), key, compress)
	return AppendString(dst, value, compress)
}

// AppendIntEntry writes a string entry whose value is the decimal form of n.
func AppendIntEntry(dst, key []byte, n int64, compress bool) []byte {
	return AppendInt(AppendString(append(dst, byte(TypeString)), key, compress), n)
}

// AppendHashEntry begins a hash of the given number of fields; as many pairs follow, each string
// written by AppendString. A hash without fields must not be written: readers refuse or drop it.
func AppendHashEntry(dst, key []byte, fields int, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeHash)), key, compress)
	return AppendLen(dst, uint64(fields))
}

// AppendHashListpackEntry writes a whole small hash from a finished listpack of fields and values.
func AppendHashListpackEntry(dst, key, listpack []byte, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeHashListpack)), key, compress)
	return AppendString(dst, listpack, compress)
}

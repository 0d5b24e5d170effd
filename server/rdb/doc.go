// Package rdb reads and writes Redis' RDB format. It is pure: bytes are appended to slices and read
// from an io.Reader; files, clocks and the store belong to its callers.
//
// A file is
//
//	"REDIS" version(4 digits)
//	(0xFA name value)*                                  auxiliary fields
//	(0xFE db  0xFB keys expires                         a database and its sizes
//	   ([0xFC ms(8, LE)] [0xF8 idle | 0xF9 freq] type key value)*)*
//	0xFF crc64(8, LE; 0 when not computed)
//
// Lengths take 1, 2, 5 or 9 bytes by their top bits; the fourth pattern of the top bits marks a string
// held as an integer of 8, 16 or 32 bits or compressed with LZF. Hashes are field-value strings (type
// 4) or one string that holds a listpack (16), a ziplist (13) or a zipmap (9). Where fields have times of their own:
//
//	24: earliest(8, LE, ms)  number of fields  (time field value)*     time: 0 for none, else 1 + the distance from earliest
//	25: earliest(8, LE, ms)  one string: a listpack of (field value time)*     time: 0 for none, else unix ms
//	22, 23: the same without earliest; the times of 22 are unix ms
//
// The writer produces version 10, the newest that Redis 7.0 loads. The reader takes versions 1 to 12 with every encoding
// that Redis has had for strings, lists, sets, hashes, sorted sets and streams; what modules wrote it can skip and name.
// What DUMP answers is a value alone:
//
//	type value version(2, LE) crc64(8, LE)
//
// It never trusts a length: memory grows with the bytes that have arrived, not with the bytes that were
// announced.
//
// Sources: rdb.h, listpack.c, ziplist.c, zipmap.c and lzf_d.c of Redis describe the layouts.
package rdb

// Version is what the writer produces: redis-server 7.0 refuses anything newer.
const Version = 10

// maxVersion is the newest version that the reader accepts.
const maxVersion = 12

// Type is the first byte of an entry.
type Type byte

// Types of values.
const (
	TypeString           Type = 0
	TypeList             Type = 1
	TypeSet              Type = 2
	TypeZset             Type = 3
	TypeHash             Type = 4
	TypeZset2            Type = 5
	TypeModule           Type = 6
	TypeModule2          Type = 7
	TypeHashZipmap       Type = 9
	TypeListZiplist      Type = 10
	TypeSetIntset        Type = 11
	TypeZsetZiplist      Type = 12
	TypeHashZiplist      Type = 13
	TypeListQuicklist    Type = 14
	TypeStreamListpacks  Type = 15
	TypeHashListpack     Type = 16
	TypeZsetListpack     Type = 17
	TypeListQuicklist2   Type = 18
	TypeStreamListpacks2 Type = 19
	TypeSetListpack      Type = 20
	TypeStreamListpacks3 Type = 21
	TypeHashTimesRC      Type = 22 // 22 and 23: of the release candidates of Redis 7.4
	TypeHashTimesPackRC  Type = 23
	TypeHashTimes        Type = 24
	TypeHashTimesPack    Type = 25
)

// HasTimes reports whether the fields of a hash have times at which they expire, as in Redis 7.4 and later.
func (t Type) HasTimes() bool { return t >= TypeHashTimesRC && t <= TypeHashTimesPack }

// packs reports whether a hash is held in one string.
func (t Type) packs() bool { return t != TypeHash && t != TypeHashTimes && t != TypeHashTimesRC }

// Opcodes share the first byte with the types.
const (
	opSlotInfo       = 0xF4
	opFunction2      = 0xF5
	opFunction       = 0xF6
	opModuleAux      = 0xF7
	opIdle           = 0xF8
	opFreq           = 0xF9
	opAux            = 0xFA
	opResizeDB       = 0xFB
	opExpireMS       = 0xFC
	opExpire         = 0xFD
	opSelectDB       = 0xFE
	opEOF            = 0xFF
	encInt8          = 0xC0
	encInt16         = 0xC1
	encInt32         = 0xC2
	encLZF           = 0xC3
	len32       byte = 0x80
	len64       byte = 0x81
)

// Name is the type as the TYPE command calls it.
func (t Type) Name() string {
	switch t {
	case TypeString:
		return "string"
	case TypeList, TypeListZiplist, TypeListQuicklist, TypeListQuicklist2:
		return "list"
	case TypeSet, TypeSetIntset, TypeSetListpack:
		return "set"
	case TypeZset, TypeZset2, TypeZsetZiplist, TypeZsetListpack:
		return "zset"
	case TypeHash, TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeHashTimes, TypeHashTimesPack, TypeHashTimesRC, TypeHashTimesPackRC:
		return "hash"
	case TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3:
		return "stream"
	case TypeModule, TypeModule2:
		return "module"
	}
	return "unknown"
}

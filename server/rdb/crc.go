package rdb

import "encoding/binary"

// crcPoly is the Jones polynomial 0xad93d23594c935a9, bits reversed.
const crcPoly = 0x95AC9329AC4BC9B5

// crcTables[k][b] is the checksum of byte b followed by k zero bytes: eight bytes are folded at once.
var crcTables = buildCRC()

func buildCRC() *[8][256]uint64 {
	var t [8][256]uint64
	for b := range 256 {
		crc := uint64(b)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ crcPoly
			} else {
				crc >>= 1
			}
		}
		t[0][b] = crc
	}
	for b := range 256 {
		for k := 1; k < 8; k++ {
			prev := t[k-1][b]
			t[k][b] = t[0][byte(prev)] ^ prev>>8
		}
	}
	return &t
}

// CRC64 continues the checksum crc (0 at the start) over p, as Redis computes it.
func CRC64(crc uint64, p []byte) uint64 {
	t := crcTables
	for len(p) >= 8 {
		crc ^= binary.LittleEndian.Uint64(p)
		crc = t[7][byte(crc)] ^ t[6][byte(crc>>8)] ^ t[5][byte(crc>>16)] ^ t[4][byte(crc>>24)] ^
			t[3][byte(crc>>32)] ^ t[2][byte(crc>>40)] ^ t[1][byte(crc>>48)] ^ t[0][byte(crc>>56)]
		p = p[8:]
	}
	for _, b := range p {
		crc = t[0][byte(crc)^b] ^ crc>>8
	}
	return crc
}

package store

import (
	"encoding/binary"
	"math/bits"
)

// hasher is a keyed 64-bit hash in the manner of wyhash (multiply and fold). Every constant of the original is a
// secret here, derived from the seed: with public constants an attacker can pick input that zeroes a factor, and so
// collisions that hold for every seed.
type hasher struct{ k0, k1, k2 uint64 }

func newHasher(seed uint64) hasher {
	return hasher{k0: splitmix(&seed), k1: splitmix(&seed), k2: splitmix(&seed)}
}

// splitmix steps a 64-bit state and returns a well mixed word (Steele, Lea, Flood 2014).
func splitmix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (k *hasher) sum(p []byte) uint64 {
	n := len(p)
	state := k.k0
	var a, b uint64
	switch {
	case n > 16:
		rest := p
		for len(rest) > 16 {
			state = fold(binary.LittleEndian.Uint64(rest)^k.k1, binary.LittleEndian.Uint64(rest[8:])^state)
			rest = rest[16:]
		}
		a, b = binary.LittleEndian.Uint64(p[n-16:]), binary.LittleEndian.Uint64(p[n-8:])
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[n-4:]))
	case n > 0:
		a = uint64(p[0])<<16 | uint64(p[n>>1])<<8 | uint64(p[n-1])
	}
	return fold(k.k2^uint64(n), fold(a^k.k1, b^state))
}

// Package store holds the keyspace: databases of keys with values, expiry times and access clocks, in memory that the
// collector does not scan. It is a data structure and nothing more: no locks, no goroutines, no clock, no randomness;
// the caller (package engine) holds the one lock and passes time in. Reads never mutate anything but atomic access
// clocks and hints, so that they may run side by side under a shared lock.
//
// # Shape
//
// A DB is a keyspace of P partitions, chosen by the high bits of a key's hash. A partition has a table and a slab:
//
//	hash:  | partition | directory prefix ......... | tag (8) | home bucket (6) |
//	table: directory[prefix] -> segment of up to 64 buckets of 12 slots, split one at a time (table.go)
//	slab:  64 KiB pages of equal slots; a 32-bit ref is page<<13 | offset/8 (slab.go)
//
// An entry (entry.go) is one slot, little endian:
//
//	u32    access clock (24 bits) << 8 | kind and flags   (in a big value's element: owner's id << 8 | ...)
//	[8]    expiry, unix ms, if flagExpire
//	varint key length; varint value length (not for fixed-size values)
//	key    bytes, or a blob's index (flagKeyBlob)
//	value  bytes, or a blob's index (flagValBlob), an int64, or a big object's id
//
// Values that would not fit a slot are blobs: reference counted, immutable while anybody but the store holds them.
// Small values of other kinds are flat bytes inside the entry (pack.go); big ones are objects (object.go): tables of
// their own whose elements are entries in the same slabs (tables.go), or of their own making.
//
// # Debug build
//
// The race detector does not see memory outside the Go heap. With -race or the tag debugstore pages are Go slices,
// freed slots are poisoned, and an Entry or Hash used after a write of its DB panics.
package store

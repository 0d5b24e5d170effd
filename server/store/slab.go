package store

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

const (
	// PageSize is the unit in which a partition takes memory from Pages.
	PageSize  = 64 << 10
	unit      = 8 // bytes that one step of a ref spans
	pageUnits = PageSize / unit
	pageBits  = 13 // log2(pageUnits)
	maxSlot   = PageSize / 4
	fineSlot  = 512 // up to here classes are 8 bytes apart
)

// Page is one page of slots, 8-byte aligned.
type Page = [PageSize]byte

// Pages hands out memory, contents undefined but for blobs that are said to be zero. Blobs are of n bytes, or some more.
// Implementations are safe for concurrent use: a blob's last reference may be dropped by a goroutine that writes it to a socket.
type Pages interface {
	AllocPage() *Page
	FreePage(*Page)
	AllocBlob(n int) (b []byte, zero bool)
	FreeBlob([]byte)
}

// goPages is the default: memory from the Go heap, left to the collector when freed.
type goPages struct{}

func (goPages) AllocPage() *Page {
	return (*Page)(unsafe.Pointer(new([PageSize / 8]uint64))) // as words, for the alignment
}
func (goPages) FreePage(*Page)                 {}
func (goPages) AllocBlob(n int) ([]byte, bool) { return make([]byte, n), true }
func (goPages) FreeBlob([]byte)                {}

// counted are pages of which somebody wants to know how much of them is resident, whoever has them.
type counted struct {
	Pages
	resident atomic.Int64 // bytes
}

// residentBytes is what a page makes resident of which n slots of a size were handed out: the system gives memory in pages of its
// own. Of a data set of a few MB most pages have been touched at their beginning only.
func residentBytes(n uint16, size uint32) int64 {
	const osPage = 4096
	return (int64(n)*int64(size) + osPage - 1) &^ (osPage - 1)
}

// classSize[c] is the slot size of class c; classOf[(n+7)/8] the smallest class for n bytes.
var (
	classSize []uint32
	classOf   [maxSlot/unit + 1]uint8
)

func init() {
	for n := uint32(unit); n <= fineSlot; n += unit {
		classSize = append(classSize, n)
	}
	// Above, sizes follow from the number of slots that share a page, so that a page has hardly a tail to waste.
	for slots := uint32(PageSize / fineSlot); slots > PageSize/maxSlot; {
		slots -= max(1, slots/9)
		classSize = append(classSize, PageSize/slots&^(unit-1))
	}
	c := 0
	for u := range classOf {
		for classSize[c] < uint32(u*unit) {
			c++
		}
		classOf[u] = uint8(c)
	}
}

// pageInfo is what the slab knows of a page. Slots [0, bump) have been used; the rest was never touched, so it costs
// no resident memory.
type pageInfo struct {
	next, prev int32  // neighbours in the class's list of pages with room; -1 ends it
	freeHead   uint16 // 1 + index of the first free slot below bump; 0 none
	bump       uint16
	used       uint16
	class      uint8
	listed     bool
	leaving    bool // its entries are being moved off it: takes no new ones
}

// slab hands out slots named by 32-bit refs. Ref 0 is never handed out: it names "none".
//
// Free slots start with a zero header word (no live entry does) and hold 1 + the index of the next free slot at byte 4.
type slab struct {
	mem     *counted
	pages   []*Page
	info    []pageInfo
	room    []int32 // per class: first page with room, -1 none
	spare   []int32 // page numbers without a page
	used    int64   // bytes in slots handed out
	touched int64   // bytes in slots below the bumps: what is resident
}

func (s *slab) init(mem *counted) {
	s.mem = mem
	s.room = make([]int32, len(classSize))
	for i := range s.room {
		s.room[i] = -1
	}
}

func classFor(n int) uint8 { return classOf[(n+unit-1)/unit] }

// slotSize is the size of the slot that n bytes take.
func slotSize(n int) int { return int(classSize[classFor(n)]) }

func slotsPerPage(class uint8) uint16 {
	n := PageSize / classSize[class]
	return uint16(n)
}

// alloc returns a slot for n bytes (n <= maxSlot), contents undefined.
func (s *slab) alloc(n int) uint32 {
	class := classFor(n)
	no := s.room[class]
	if no < 0 {
		no = s.addPage(class)
	}
	pi := &s.info[no]
	size := classSize[class]
	var slot uint32
	if pi.freeHead != 0 {
		slot = uint32(pi.freeHead - 1)
		pi.freeHead = binary.LittleEndian.Uint16(s.pages[no][slot*size+4:])
	} else {
		slot = uint32(pi.bump)
		pi.bump++
		s.touched += int64(size)
		if more := residentBytes(pi.bump, size) - residentBytes(pi.bump-1, size); more != 0 {
			s.mem.resident.Add(more)
		}
	}
	pi.used++
	s.used += int64(size)
	if pi.freeHead == 0 && pi.bump == s.limit(no) {
		s.unlist(no)
	}
	return uint32(no)<<pageBits | slot*size/unit
}

// limit is the number of slots in page no.
func (s *slab) limit(no int32) uint16 { return slotsPerPage(s.info[no].class) }

func (s *slab) addPage(class uint8) int32 {
	var no int32
	if k := len(s.spare); k > 0 {
		no = s.spare[k-1]
		s.spare = s.spare[:k-1]
	} else {
		if len(s.pages) == 0 { // page 0 stays empty: ref 0 means none
			s.pages, s.info = append(s.pages, nil), append(s.info, pageInfo{next: -1, prev: -1})
		}
		if len(s.pages) == 1<<(32-pageBits) {
			panic("store: a partition is full (32 GiB)")
		}
		no = int32(len(s.pages))
		s.pages, s.info = append(s.pages, nil), append(s.info, pageInfo{})
	}
	s.pages[no] = s.mem.AllocPage()
	s.info[no] = pageInfo{next: -1, prev: -1, class: class}
	s.list(no)
	return no
}

// list puts a page with room at the head of its class's list.
func (s *slab) list(no int32) {
	pi := &s.info[no]
	pi.prev, pi.next, pi.listed = -1, s.room[pi.class], true
	if pi.next >= 0 {
		s.info[pi.next].prev = no
	}
	s.room[pi.class] = no
}

func (s *slab) unlist(no int32) {
	pi := &s.info[no]
	if pi.prev >= 0 {
		s.info[pi.prev].next = pi.next
	} else {
		s.room[pi.class] = pi.next
	}
	if pi.next >= 0 {
		s.info[pi.next].prev = pi.prev
	}
	pi.listed = false
}

// free takes a slot back. An empty page goes back to Pages unless it is the last with room in its class.
func (s *slab) free(ref uint32) {
	no := int32(ref >> pageBits)
	pi := &s.info[no]
	size := classSize[pi.class]
	slot := (ref & (pageUnits - 1)) * unit / size
	b := s.pages[no][slot*size : slot*size+size]
	if debug {
		if binary.LittleEndian.Uint32(b) == 0 {
			panic("store: slot freed twice")
		}
		for i := range b {
			b[i] = 0xdd
		}
	}
	binary.LittleEndian.PutUint32(b, 0)
	binary.LittleEndian.PutUint16(b[4:], pi.freeHead)
	pi.freeHead = uint16(slot) + 1
	pi.used--
	s.used -= int64(size)
	switch {
	case pi.used == 0 && (!pi.listed || pi.next >= 0 || pi.prev >= 0):
		s.dropPage(no)
	case !pi.listed && !pi.leaving:
		s.list(no)
	}
}

// stay ends the emptying of a page: what is left keeps it, unless it has gone already.
func (s *slab) stay(no int32) {
	pi := &s.info[no]
	if !pi.leaving {
		return
	}
	pi.leaving = false
	if s.pages[no] != nil && !pi.listed && (pi.freeHead != 0 || pi.bump < s.limit(no)) {
		s.list(no)
	}
}

func (s *slab) dropPage(no int32) {
	pi := &s.info[no]
	if pi.listed {
		s.unlist(no)
	}
	s.touched -= int64(pi.bump) * int64(classSize[pi.class])
	s.freePage(no)
	s.pages[no] = nil
	pi.bump, pi.freeHead, pi.leaving = 0, 0, false
	s.spare = append(s.spare, no)
}

func (s *slab) freePage(no int32) {
	pi := &s.info[no]
	s.mem.resident.Add(-residentBytes(pi.bump, classSize[pi.class]))
	s.mem.FreePage(s.pages[no])
}

// at returns the bytes from a slot's start to its page's end (in the debug build, to the slot's end).
func (s *slab) at(ref uint32) []byte {
	pg := s.pages[ref>>pageBits]
	off := (ref & (pageUnits - 1)) * unit
	if debug {
		return pg[off : off+classSize[s.info[ref>>pageBits].class]]
	}
	return pg[off:]
}

// size returns the bytes that a slot holds.
func (s *slab) size(ref uint32) int { return int(classSize[s.info[ref>>pageBits].class]) }

// release gives every page back; the slab is not used afterwards. Up to n pages a call; reports whether more are left.
func (s *slab) release(n int) (more bool) {
	for n > 0 && len(s.pages) > 0 {
		last := len(s.pages) - 1
		if s.pages[last] != nil {
			s.freePage(int32(last))
			n--
		}
		s.pages = s.pages[:last]
	}
	return len(s.pages) > 0
}

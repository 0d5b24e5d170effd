package rdb

import "encoding/binary"

// The containers of a quicklist's nodes.
const (
	nodePlain  = 1 // one element as it is
	nodePacked = 2 // a listpack
)

// AppendListEntry begins a list of the given number of nodes, at least one; as many follow, each begun by
// AppendPlainNode or AppendPackedNode and its string.
func AppendListEntry(dst, key []byte, nodes int, compress bool) []byte {
	dst = AppendString(append(dst, byte(TypeListQuicklist2)), key, compress)
	return AppendLen(dst, uint64(nodes))
}

// AppendPlainNode begins a list's node that is one element, the string that follows.
func AppendPlainNode(dst []byte) []byte { return AppendLen(dst, nodePlain) }

// AppendPackedNode begins a list's node that is a listpack, the string that follows.
func AppendPackedNode(dst []byte) []byte { return AppendLen(dst, nodePacked) }

// openList begins a list, whose elements NextElement gives.
func (r *Reader) openList(t Type, ev *Event) error {
	r.pending, r.isOpen, r.rest, r.left = t, true, nil, 1
	if t == TypeListZiplist {
		return nil
	}
	n, err := r.src.plainLength()
	r.left = n
	if t == TypeList {
		ev.Fields = int(min(n, 1<<31-1))
	}
	return err
}

// NextElement answers the next element of the list given out last, and false behind the last one. It is valid until the
// next call.
func (r *Reader) NextElement() (elem []byte, ok bool, err error) {
	for r.isOpen {
		if r.rest != nil {
			var end, whole bool
			if r.pending == TypeListQuicklist2 {
				elem, r.rest, end, whole = listpackNext(r.rest, r.fieldNum[:])
			} else {
				elem, r.rest, end, whole = ziplistNext(r.rest, r.fieldNum[:])
			}
			switch {
			case !whole:
				return nil, false, r.src.fail("a list's node is damaged")
			case !end:
				return elem, true, nil
			}
			r.rest = nil
		}
		if r.left == 0 {
			r.isOpen = false
			break
		}
		r.left--
		if elem, err = r.openNode(); elem != nil || err != nil {
			return elem, err == nil, err
		}
	}
	return nil, false, nil
}

// openNode reads the next node. It answers the element of one that is not packed, else nil.
func (r *Reader) openNode() (elem []byte, err error) {
	container := uint64(nodePacked)
	switch r.pending {
	case TypeList:
		container = nodePlain
	case TypeListQuicklist2:
		if container, err = r.src.plainLength(); err != nil {
			return nil, err
		}
	}
	p, err := r.src.str(&r.blob)
	switch {
	case err != nil:
		return nil, err
	case container == nodePlain && p == nil:
		return []byte{}, nil
	case container == nodePlain:
		return p, nil
	case container != nodePacked:
		return nil, r.src.fail("a list's node is neither plain nor packed")
	}
	r.blob = append(r.blob[:0], p...)
	header := ziplistHeader
	if r.pending == TypeListQuicklist2 {
		header = listpackHeader
	}
	if len(r.blob) <= header || int(binary.LittleEndian.Uint32(r.blob)) != len(r.blob) {
		return nil, r.src.fail("a list's node is damaged: its size is wrong")
	}
	r.rest = r.blob[header:]
	return nil, nil
}

// skipList passes over the rest of a list.
func (r *Reader) skipList(t Type, isOpen bool) error {
	for ; isOpen && r.left > 0; r.left-- {
		if t == TypeListQuicklist2 {
			if _, err := r.src.plainLength(); err != nil {
				return err
			}
		}
		if err := r.src.skipString(); err != nil {
			return err
		}
	}
	return nil
}

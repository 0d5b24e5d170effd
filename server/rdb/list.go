package rdb

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
	r.pending, r.isOpen, r.left = t, true, 1
	r.pack.close()
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
		if r.pack.isOpen() {
			var end, whole bool
			elem, end, whole = r.pack.next(r.fieldNum[:])
			switch {
			case !whole:
				return nil, false, r.damaged(r.pending)
			case !end:
				return elem, true, nil
			}
			r.pack.close()
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
	case container == nodePlain && len(p) == 0 && r.pending == TypeListQuicklist2:
		return nil, r.src.fail("a list's plain node is empty: integrity check failed")
	case container == nodePlain && p == nil:
		return []byte{}, nil
	case container == nodePlain:
		return p, nil
	case container != nodePacked:
		return nil, r.src.fail("a list's node is neither plain nor packed")
	}
	r.blob = append(r.blob[:0], p...)
	if !r.pack.open(r.blob, r.pending.form()) {
		return nil, r.damaged(r.pending)
	}
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

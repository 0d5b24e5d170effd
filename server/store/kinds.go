package store

// Kind is a value's type as clients see it.
type Kind uint8

// The kinds, in the order of Redis' OBJ_ constants.
const (
	String Kind = iota
	ListKind
	SetKind
	ZSetKind
	HashKind
	StreamKind
)

func (k Kind) String() string {
	return [...]string{"string", "list", "set", "zset", "hash", "stream"}[k]
}

// The low four bits of an entry's header: kind and encoding in one. 0 marks a free slot.
const (
	typeEmbstr     = 1 + iota // bytes that were stored whole
	typeRaw                   // bytes that were edited in place
	typeInt                   // a string that is an int64 in canonical form
	typeHashPack              // small values, flat bytes in the entry
	typeIntset                //
	typeSetPack               //
	typeZSetPack              //
	typeListPack              //
	typeStreamPack            //
	typeHashTable             // big values: the entry's value is an object's id
	typeSetTable              //
	typeZSetTable             //
	typeBigList               //
	typeBigStream             //
	typeField                 // an element of a big value, not a key: the header names the owner
	typeMask       = 15
)

// kinds gives the kind and the name for OBJECT ENCODING of each type of entry.
var kinds = [typeMask + 1]struct {
	kind     Kind
	encoding string
}{
	typeEmbstr:     {String, "embstr"},
	typeRaw:        {String, "raw"},
	typeInt:        {String, "int"},
	typeHashPack:   {HashKind, "listpack"},
	typeIntset:     {SetKind, "intset"},
	typeSetPack:    {SetKind, "hashtable"}, // clients see a hashtable as soon as there is a member that is no integer
	typeZSetPack:   {ZSetKind, "listpack"},
	typeListPack:   {ListKind, "quicklist"},
	typeStreamPack: {StreamKind, "stream"},
	typeHashTable:  {HashKind, "hashtable"},
	typeSetTable:   {SetKind, "hashtable"},
	typeZSetTable:  {ZSetKind, "skiplist"},
	typeBigList:    {ListKind, "quicklist"},
	typeBigStream:  {StreamKind, "stream"},
	typeField:      {String, "raw"},
}

// isObject reports whether entries of this header hold the id of an object.
func isObject(meta uint8) bool {
	t := meta & typeMask
	return t >= typeHashTable && t <= typeBigStream
}

// isText reports whether the value of entries of this header is a string's bytes.
func isText(meta uint8) bool {
	t := meta & typeMask
	return t == typeEmbstr || t == typeRaw || t == typeField
}

package command

// irregularKeys holds the key finders of commands whose options decide what is done with the key.
var irregularKeys = map[string]func(dst []KeyRef, args [][]byte) ([]KeyRef, bool){
	"set":      setKeys,
	"bitfield": bitfieldKeys,
}

// setKeys: SET reads its key only with GET.
func setKeys(dst []KeyRef, args [][]byte) ([]KeyRef, bool) {
	if len(args) < 3 {
		return dst, false
	}
	flags := KeyOW | KeyUpdate
	for _, a := range args[3:] {
		if IsWord(a, "get") {
			flags = KeyRW | KeyAccess | KeyUpdate
		}
	}
	return append(dst, KeyRef{Pos: 1, Flags: flags}), true
}

// bitfieldKeys: BITFIELD writes its key unless all operations are GET.
func bitfieldKeys(dst []KeyRef, args [][]byte) ([]KeyRef, bool) {
	if len(args) < 2 {
		return dst, false
	}
	flags := KeyRO | KeyAccess
	for i := 2; i < len(args); i++ {
		left := len(args) - i - 1
		switch {
		case IsWord(args[i], "get") && left >= 2:
			i += 2
		case IsWord(args[i], "overflow") && left >= 1:
			i++
		default:
			flags = KeyRW | KeyAccess | KeyUpdate
		}
	}
	return append(dst, KeyRef{Pos: 1, Flags: flags}), true
}

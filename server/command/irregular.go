package command

// irregularKeys holds the key finders of commands whose options decide what is done with the key.
var irregularKeys = map[string]func(dst []KeyRef, args [][]byte) ([]KeyRef, bool){
	"set":      setKeys,
	"bitfield": bitfieldKeys,
	"migrate":  migrateKeys,
	"sort":     sortKeys,
	"sort_ro": func(dst []KeyRef, _ [][]byte) ([]KeyRef, bool) {
		return append(dst, KeyRef{Pos: 1, Flags: KeyRO | KeyAccess}), true
	},
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

// sortKeys: the key that SORT sorts, and the one behind the last STORE; patterns lead to keys that nobody can tell.
func sortKeys(dst []KeyRef, args [][]byte) ([]KeyRef, bool) {
	if len(args) < 2 {
		return dst, false
	}
	dst = append(dst, KeyRef{Pos: 1, Flags: KeyRO | KeyAccess})
	into := 0
	for i := 2; i < len(args); i++ {
		switch {
		case IsWord(args[i], "limit"):
			i += 2
		case IsWord(args[i], "get"), IsWord(args[i], "by"):
			i++
		case IsWord(args[i], "store") && i+1 < len(args):
			into = i + 1
		}
	}
	if into > 0 {
		dst = append(dst, KeyRef{Pos: into, Flags: KeyOW | KeyUpdate})
	}
	return dst, true
}

// migrateKeys: the key of MIGRATE, or those behind KEYS.
func migrateKeys(dst []KeyRef, args [][]byte) ([]KeyRef, bool) {
	if len(args) < 6 {
		return dst, false
	}
	first, end := 3, 4
	for i := 6; i < len(args) && first == 3; i++ {
		switch {
		case IsWord(args[i], "keys") && len(args[3]) == 0:
			first, end = i+1, len(args)
		case IsWord(args[i], "auth"):
			i++
		case IsWord(args[i], "auth2"):
			i += 2
		}
	}
	for ; first < end; first++ {
		dst = append(dst, KeyRef{Pos: first, Flags: KeyRW | KeyAccess | KeyDelete})
	}
	return dst, true
}

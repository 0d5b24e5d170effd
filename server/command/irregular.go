package command

// irregularKeys holds the key finders of commands whose keys no spec can describe.
var irregularKeys = map[string]func(dst []KeyRef, args [][]byte) ([]KeyRef, bool){}

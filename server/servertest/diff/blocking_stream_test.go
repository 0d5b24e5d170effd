package diff

import "testing"

// TestBlockedReadersAgainstRedis is TestBlockedClientsAgainstRedis for readers of streams; IDs are given, since the two
// servers would not choose the same.
func TestBlockedReadersAgainstRedis(t *testing.T) {
	blockedAgainstRedis(t, [][]string{
		{"XREAD", "BLOCK", "0", "STREAMS", "a", "$"}, {"XREAD", "BLOCK", "0", "STREAMS", "a", "b", "$", "$"}, {"XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "b", "0"},
		{"XREAD", "BLOCK", "0", "STREAMS", "c", "a", "5-0", "$"}, {"XREADGROUP", "GROUP", "g", "x", "BLOCK", "0", "STREAMS", "a", ">"},
		{"XREADGROUP", "GROUP", "g", "y", "COUNT", "1", "BLOCK", "0", "STREAMS", "b", ">"}, {"XREADGROUP", "GROUP", "g", "z", "BLOCK", "0", "NOACK", "STREAMS", "a", ">"},
		{"XREADGROUP", "GROUP", "g", "x", "BLOCK", "0", "STREAMS", "a", "0"}, {"XREADGROUP", "GROUP", "g", "w", "BLOCK", "0", "STREAMS", "a", "b", ">", ">"},
	}, [][]string{
		{"XADD", "a", "1-*", "f", "v"}, {"XADD", "a", "2-*", "f", "v"}, {"XADD", "b", "1-*", "f", "v"}, {"XADD", "b", "3-*", "f", "v"}, {"XADD", "c", "6-*", "f", "v"}, {"XADD", "a", "MAXLEN", "0", "9-*", "f", "v"},
		{"XGROUP", "CREATE", "a", "g", "$", "MKSTREAM"}, {"XGROUP", "CREATE", "b", "g", "0", "MKSTREAM"}, {"XGROUP", "CREATE", "a", "g", "0", "MKSTREAM"}, {"XGROUP", "DESTROY", "a", "g"},
		{"MULTI"}, {"EXEC"}, {"EXEC"}, {"DEL", "a"}, {"DEL", "b"}, {"SET", "a", "v"}, {"RENAME", "a", "b"}, {"RENAME", "b", "a"}, {"COPY", "a", "c"}, {"LPUSH", "b", "x"},
		{"XDEL", "a", "1-0", "2-0"}, {"XTRIM", "a", "MAXLEN", "1"}, {"XACK", "a", "g", "1-0", "1-1", "2-0"}, {"XSETID", "a", "50-0"}, {"FLUSHDB"}, {"XLEN", "a"},
		{"CLIENT", "UNBLOCK", "id of m1"}, {"CLIENT", "UNBLOCK", "id of m2", "ERROR"}, {"SELECT", "1"}, {"SELECT", "0"}, {"SELECT", "0"}, {"XGROUP", "SETID", "a", "g", "0"},
	})
}

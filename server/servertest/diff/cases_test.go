package diff

// cases run in order on both sides: what once differed, and corners that random commands seldom meet.
var cases = [][]string{
	{"SET", "f", "10.5"}, {"INCRBYFLOAT", "f", "0.1"}, {"INCRBYFLOAT", "f", "-5"}, {"INCRBYFLOAT", "f", "5.0e3"}, {"INCRBYFLOAT", "f", "2.0e2"},
	{"SET", "f", "3"}, {"INCRBYFLOAT", "f", "1.1"}, {"SET", "f", "1"}, {"INCRBYFLOAT", "f", "-1.1"}, {"SET", "f", "0"}, {"INCRBYFLOAT", "f", "1e300"},
	{"INCRBYFLOAT", "f", "0.00000000000000001"}, {"SET", "f", "17179869184"}, {"INCRBYFLOAT", "f", "0.3"}, {"INCRBYFLOAT", "f", "inf"}, {"INCRBYFLOAT", "f", "nan"},
	{"SET", "s", "foobar"}, {"SETRANGE", "s", "9223372036854775807", "x"}, {"SETRANGE", "s", "536870911", "xy"}, {"SETRANGE", "s", "536870912", ""}, {"GETRANGE", "s", "-3", "-100"},
	{"GETRANGE", "s", "0", "-1000"}, {"GETRANGE", "s", "-1000", "2"}, {"LCS", "s", "nothing"}, {"LCS", "s", "s", "IDX", "WITHMATCHLEN", "MINMATCHLEN", "-3"},
	{"LCS", "s", "s", "LEN", "IDX"}, {"SET", "s", "x", "EX", "1", "PX", "1"}, {"SET", "s", "x", "EX", "10", "EX", "20", "NX", "NX"}, {"SET", "s", "x", "KEEPTTL", "EX", "1"}, {"SET", "s", "x", "EX"},
	{"GETEX", "s", "PERSIST", "EX", "1"}, {"GETEX", "s", "KEEPTTL"}, {"SET", "s", "x", "PXAT", "9223372036854775807"}, {"SET", "s", "x", "EXAT", "9223372036854776"},
	{"SET", "s", "x", "PX", "9223372036854775807"}, {"EXPIRE", "s", "9223372036854775807"}, {"PEXPIRE", "s", "9223372036854775807"}, {"EXPIRE", "s", "10", "nx", "gt"}, {"EXPIRE", "s", "1", "ab"},
	{"SETBIT", "s", "4294967295", "1"}, {"SETBIT", "bits", "4294967296", "1"}, {"SETBIT", "bits", "7", "2"}, {"BITCOUNT", "s", "0"}, {"BITCOUNT", "s", "-1", "-2", "x"}, {"BITPOS", "s", "1", "0", "1", "x"},
	{"BITFIELD", "bf", "SET", "u8", "#1", "255", "INCRBY", "i64", "0", "9223372036854775807", "OVERFLOW", "FAIL", "INCRBY", "u63", "#1", "-1"},
	{"BITFIELD", "bf", "OVERFLOW", "SAT", "SET", "i1", "72", "-9223372036854775808", "GET", "i1", "72", "SET", "i8", "0", "9223372036854775807", "GET", "i8", "0", "SET", "i63", "0", "-9223372036854775808", "GET", "i63", "0"},
	{"BITFIELD", "bf", "OVERFLOW", "WRAP", "SET", "i1", "72", "-9223372036854775808", "GET", "i1", "72", "OVERFLOW", "FAIL", "SET", "i5", "9", "-9223372036854775808", "SET", "i5", "9", "-17"},
	{"BITFIELD", "bf", "OVERFLOW", "SAT", "INCRBY", "i64", "0", "-9223372036854775808", "GET", "i64", "3"}, {"BITFIELD", "bf", "OVERFLOW", "no"}, {"BITFIELD_RO", "bf", "SET", "u8", "0", "1"},
	{"HSET", "h", "f"}, {"HSET", "h", "f", "x", "g"}, {"HINCRBY", "h", "n", "9223372036854775807"}, {"HINCRBY", "h", "n", "1"}, {"HINCRBYFLOAT", "h", "n", "inf"}, {"HINCRBYFLOAT", "h", "n", "x"},
	{"HSET", "h", "t", "x"}, {"HINCRBY", "h", "t", "1"}, {"HINCRBYFLOAT", "h", "t", "1"}, {"HRANDFIELD", "h", "-9223372036854775808"}, {"HRANDFIELD", "h", "4611686018427387904", "WITHVALUES"},
	{"HRANDFIELD", "h", "1", "x"}, {"HRANDFIELD", "none"}, {"HRANDFIELD", "none", "3"}, {"HRANDFIELD", "h", "0"}, {"RANDOMKEY", "x"}, {"SCAN", "x"}, {"SCAN", " 1"}, {"SCAN", "0", "COUNT", "0"},
	{"SCAN", "0", "MATCH"}, {"SCAN", "0", "TYPE"}, {"SCAN", "18446744073709551616"}, {"HSCAN", "none", "x"}, {"HSCAN", "none", "0", "BAD"}, {"HSCAN", "h", "0", "BAD"}, {"HSCAN", "f", "0"},
	{"OBJECT", "ENCODING", "none"}, {"OBJECT", "FREQ", "s"}, {"OBJECT", "REFCOUNT", "h"}, {"OBJECT", "nothing"}, {"OBJECT"}, {"OBJECT", "ENCODING"}, {"SWAPDB", "0", "16"}, {"SWAPDB", "x", "0"},
	{"SWAPDB", "0", "x"}, {"MOVE", "s", "16"}, {"MOVE", "s", "0"}, {"MOVE", "s", "99999999999"}, {"COPY", "s", "s"}, {"COPY", "s", "t", "DB", "x"}, {"COPY", "s", "t", "DB"}, {"RENAME", "none", "x"},
	{"FLUSHDB", "LATER"}, {"FLUSHALL", "SYNC", "x"}, {"nosuch", "a\r\nb", "\x00c"}, {"no\x00such"}, {"COMMAND", "COUNT", "x"}, {"COMMAND", "GETKEYS", "GET"}, {"COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"},
	{"COMMAND", "GETKEYS", "PING"}, {"COMMAND", "GETKEYS", "nosuch"}, {"COMMAND", "GETKEYSANDFLAGS", "SET", "a", "b"}, {"COMMAND", "GETKEYSANDFLAGS", "LCS", "a", "b"}, {"COMMAND", "LIST", "FILTERBY", "x", "y"},
	{"COMMAND", "INFO", "nosuch"}, {"COMMAND", "DOCS", "nosuch"}, {"COMMAND", "nosuch"}, {"DEL", "s"},
	{"CLUSTER"}, {"CLUSTER", "INFO"}, {"cluster", "slots"}, {"CLUSTER", "HELP"}, {"CLUSTER", "HELP", "x"}, {"CLUSTER", "KEYSLOT"}, {"CLUSTER", "KEYSLOT", "a"}, {"CLUSTER", "nosuch"}, {"READONLY"}, {"READONLY", "x"},
	{"READWRITE"}, {"ASKING"}, {"COMMAND", "GETKEYS", "CLUSTER", "KEYSLOT", "a"}, {"COMMAND", "LIST", "FILTERBY", "PATTERN", "cluster|help"},
}

// protocolTypes are compared in both versions of the protocol.
var protocolTypes = []string{"string", "integer", "double", "bignum", "null", "array", "set", "map", "attrib", "push", "verbatim", "true", "false", "nonsense"}

package command

var hyperloglogRows = []Row{
	{Name: "pfadd", Arity: -2, Flags: Write | DenyOOM | Fast, Categories: CatHyperLogLog,
		Keys:  []KeySpec{one(1, KeyRW|KeyInsert)},
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) per element",
		Args:    "key [element:str ...]",
		Summary: "Counts elements in a HyperLogLog, creating it when the key is missing.",
		Handler: cmdPfadd},
	{Name: "pfcount", Arity: -2, Flags: ReadOnly | MayReplicate, Categories: CatHyperLogLog,
		Keys:  []KeySpec{pfcountKeys},
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) for one key, O(N) with a large constant for N keys",
		Args:    "key ...",
		Summary: "Estimates how many different elements HyperLogLogs have counted together.",
		Handler: cmdPfcount},
	{Name: "pfdebug", Arity: 3, Flags: Write | DenyOOM | Admin, Categories: CatHyperLogLog, SysCmd: true,
		Keys:  []KeySpec{one(2, KeyRW|KeyAccess)},
		Group: "hyperloglog", Since: "2.8.9", Complexity: "N/A",
		Args:    "subcommand:str key",
		Summary: "Looks into a HyperLogLog: ENCODING, DECODE, GETREG, TODENSE.",
		Handler: cmdPfdebug},
	{Name: "pfmerge", Arity: -2, Flags: Write | DenyOOM, Categories: CatHyperLogLog,
		Keys:  []KeySpec{one(1, KeyRW|KeyAccess|KeyInsert), rest(2, 1, KeyRO|KeyAccess)},
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(N) with a large constant for N keys",
		Args:    "destkey:key#0 sourcekey:key#1 ...",
		Summary: "Merges HyperLogLogs into one.",
		Handler: cmdPfmerge},
	{Name: "pfselftest", Arity: 1, Flags: Admin, Categories: CatHyperLogLog, SysCmd: true,
		Group: "hyperloglog", Since: "2.8.9", Complexity: "N/A",
		Summary: "Checks the HyperLogLog implementation.",
		Handler: cmdPfselftest},
}

var pfcountKeys = func() KeySpec {
	s := rest(1, 1, KeyRW|KeyAccess)
	s.Notes = "the cached cardinality may change, which is propagated"
	return s
}()

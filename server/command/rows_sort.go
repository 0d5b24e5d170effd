package command

// sortPatterns are keys that depend on the elements sorted; sortInto stands behind a word that may stand anywhere.
var (
	sortPatterns = KeySpec{Flags: KeyRO | KeyAccess, Notes: "BY and GET lead to keys that depend on what is sorted"}
	sortInto     = KeySpec{Flags: KeyOW | KeyUpdate, Notes: "STORE may stand anywhere among the options"}
)

var sortRows = []Row{
	{Name: "sort", Arity: -2, Flags: Write | DenyOOM, Categories: CatSet | CatSortedSet | CatList | CatDangerous,
		Keys:  []KeySpec{one(1, KeyRO|KeyAccess), sortPatterns, sortInto},
		Group: "generic", Since: "1.0.0", Complexity: "O(N+M*log(M)) for N elements of which M are returned",
		Args:    "key [BY/pattern:pat#1] [LIMIT/offset_count{ offset:int count:int }] [GET/pattern:pat#1 ...T] [order( ASC | DESC )] [ALPHA/sorting:token] [STORE/destination:key#2]",
		Summary: "Sorts the elements of a list, a set or a sorted set, and returns or stores them.",
		Handler: cmdSort},
	{Name: "sort_ro", Arity: -2, Flags: ReadOnly, Categories: CatSet | CatSortedSet | CatList | CatDangerous,
		Keys:  []KeySpec{one(1, KeyRO|KeyAccess), sortPatterns},
		Group: "generic", Since: "7.0.0", Complexity: "O(N+M*log(M)) for N elements of which M are returned",
		Args:    "key [BY/pattern:pat#1] [LIMIT/offset_count{ offset:int count:int }] [GET/pattern:pat#1 ...T] [order( ASC | DESC )] [ALPHA/sorting:token]",
		Summary: "Sorts the elements of a list, a set or a sorted set; never stores them.",
		Handler: cmdSortRo},
}

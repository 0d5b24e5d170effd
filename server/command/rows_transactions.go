package command

var transactionRows = []Row{
	{Name: "discard", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Categories: CatTransaction,
		Group: "transactions", Since: "2.0.0", Complexity: "O(N) for N queued commands",
		Summary: "Drops the queued commands of a transaction."},
	{Name: "exec", Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog, Categories: CatTransaction,
		Group: "transactions", Since: "1.2.0", Complexity: "The sum of the queued commands.",
		Summary: "Runs the queued commands of a transaction as one step."},
	{Name: "multi", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Categories: CatTransaction,
		Group: "transactions", Since: "1.2.0", Complexity: "O(1)",
		Summary: "Starts a transaction: what follows is queued until EXEC."},
	{Name: "unwatch", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Categories: CatTransaction,
		Group: "transactions", Since: "2.2.0", Complexity: "O(1)",
		Summary: "Forgets all watched keys of this connection."},
	{Name: "watch", Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Categories: CatTransaction,
		Keys:  []KeySpec{rest(1, 1, KeyRO)},
		Group: "transactions", Since: "2.2.0", Complexity: "O(1) for each key",
		Args:    "key ...",
		Summary: "Makes the next EXEC fail when one of the keys changes before it."},
}

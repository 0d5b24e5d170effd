package command

import "testing"

// TestResolveLikeIsResolve: remembering the latest command changes nothing, whatever the order, the case, and the
// subcommands.
func TestResolveLikeIsResolve(t *testing.T) {
	table := NewTable()
	if err := table.Rename("hset", "fieldset"); err != nil {
		t.Fatal(err)
	}
	var latest Latest
	lines := []string{"GET k", "GET k", "get k", "GETX k", "GE k", "GET k", "CONFIG GET a", "CONFIG SET a b", "CONFIG NONE", "CONFIG", "OBJECT HELP", "SET a b", "SET a", "HSET h f v", "FIELDSET h f v",
		"FIELDSET h f v", "GEORADIUSBYMEMBER_RO a b 1 m", "GEORADIUSBYMEMBER_RO a b 1 m", "GEORADIUSBYMEMBE a", "PING", "ping"}
	for _, first := range lines {
		for _, second := range lines {
			for _, line := range []string{first, second} {
				if got, want := table.ResolveLike(&latest, words(line)), table.Resolve(words(line)); got != want {
					t.Fatalf("%q after %q: %v, want %v", line, first, got, want)
				}
			}
		}
	}
}

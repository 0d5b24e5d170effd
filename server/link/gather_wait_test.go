package link_test

import (
	"fmt"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// TestWaitIsPromptUnderATrickle: a client that waits for acknowledgements is not held up by gathering: a hundred calls of WAIT
// among a trickle of writes take less than the waits of a reader that gathers would add up to.
func TestWaitIsPromptUnderATrickle(t *testing.T) {
	master := servertest.Start(t, "--repl-diskless-sync-delay", "0")
	replica := servertest.Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port()))
	servertest.AwaitLink(t, replica)
	writer := servertest.Dial(t, master.Port(), "")
	defer writer.Close()
	end := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			default:
				writer.Do("INCR", "n")
			}
		}
	}()
	for range 100 {
		master.Must("INCR", "m")
		if got := master.Must("WAIT", "1", "0"); got.Int != 1 {
			t.Fatalf("WAIT answers %s", got)
		}
	}
	close(end)
	<-done
	servertest.MustAgree(t, master, replica)
}

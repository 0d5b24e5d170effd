package transport

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRevocationMeetsTheNextCommand: clients on several loops are busy when their user's rules change. What is sent after
// the change was acknowledged meets the new rules, and the rules of others are untouched.
func TestRevocationMeetsTheNextCommand(t *testing.T) {
	r := newRig(t, rigOptions{loops: 3})
	admin := dial(t, r.addr)
	admin.do("ACL", "SETUSER", "u", "on", "nopass", "+@all", "~*")
	var revoked sync.RWMutex
	now := false
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 6 {
		c := dial(t, r.addr)
		limited := i%2 == 0
		if limited {
			want(t, c.do("AUTH", "u", "x"), "OK")
		}
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				revoked.RLock()
				after := now
				revoked.RUnlock()
				got := c.do("SET", fmt.Sprint("key:", n%10), "v")
				if refused := strings.Contains(got, "NOPERM"); refused && !limited || after && limited && !refused {
					t.Errorf("limited %v, revoked %v: SET answers %s", limited, after, got)
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	want(t, admin.do("ACL", "SETUSER", "u", "-set"), "OK")
	revoked.Lock()
	now = true
	revoked.Unlock()
	time.Sleep(20 * time.Millisecond)
	close(stop)
	wg.Wait()
}

// TestClientsOfARemovedUserAreClosed: whatever they have sent already is refused, and they are not listed any more.
func TestClientsOfARemovedUserAreClosed(t *testing.T) {
	r := newRig(t, rigOptions{loops: 3})
	admin := dial(t, r.addr)
	for round := range 5 {
		admin.do("ACL", "SETUSER", "u", "on", "nopass", "+@all", "~*", "&*")
		var clients []*client
		for range 6 {
			c := dial(t, r.addr)
			want(t, c.do("AUTH", "u", "x"), "OK")
			clients = append(clients, c)
		}
		want(t, clients[0].do("SUBSCRIBE", "ch"), `*["subscribe" "ch" (integer) 1]`)
		clients[1].send("BLPOP", "nothing", "0")
		for !strings.Contains(admin.do("INFO", "clients"), "blocked_clients:1") { // or the command meets the removal and is refused
			time.Sleep(time.Millisecond)
		}
		admin.do("SET", "key", "old")
		want(t, admin.do("ACL", "DELUSER", "u"), "(integer) 1")
		if list := admin.do("CLIENT", "LIST"); strings.Contains(list, "user=u") || strings.Contains(list, "superuser") {
			t.Fatalf("round %d: still listed: %s", round, list)
		}
		for i, c := range clients[2:] {
			c.send("SET", "key", "new")
			if got := c.ends(); strings.Contains(got, "OK") {
				t.Fatalf("round %d, client %d: %s", round, i, got)
			}
		}
		want(t, clients[0].ends(), "")
		want(t, clients[1].ends(), "")
		want(t, admin.do("GET", "key"), `"old"`)
	}
	self := dial(t, r.addr)
	admin.do("ACL", "SETUSER", "u", "on", "nopass", "+acl")
	want(t, self.do("AUTH", "u", "x"), "OK")
	want(t, self.do("ACL", "DELUSER", "u"), "(integer) 1")
	want(t, self.ends(), "")
}

// TestResetEndsTheUser: RESET brings back the default user, who may have a password by now.
func TestResetEndsTheUser(t *testing.T) {
	r := newRig(t, rigOptions{})
	admin, c := dial(t, r.addr), dial(t, r.addr)
	admin.do("ACL", "SETUSER", "u", "on", "nopass", "+acl")
	want(t, c.do("AUTH", "u", "x"), "OK")
	wantPrefix(t, c.do("GET", "a"), "(error) NOPERM ")
	want(t, c.do("RESET"), "RESET")
	want(t, c.do("GET", "a"), "(nil)")
	want(t, c.do("AUTH", "u", "x"), "OK")
	admin.do("CONFIG", "SET", "requirepass", "pw")
	want(t, c.do("ACL", "WHOAMI"), `"u"`)
	want(t, c.do("RESET"), "RESET")
	wantPrefix(t, c.do("GET", "a"), "(error) NOAUTH ")
	want(t, c.do("AUTH", "pw"), "OK")
	want(t, c.do("GET", "a"), "(nil)")
}

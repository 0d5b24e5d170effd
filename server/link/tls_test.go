package link_test

import (
	"math/rand"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	. "github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/pki"
)

// secured is a peer whose replicas come to its tls-port.
type secured struct {
	Peer
	port int
}

func (s secured) Port() int { return s.port }

// startSecured starts a server, ours or redis-server, whose links use TLS.
func startSecured(t *testing.T, authority *pki.Authority, ours bool) secured {
	t.Helper()
	dir, port := authority.Dir("understudy://test/peer"), FreePort(t)
	args := append([]string{"--tls-port", strconv.Itoa(port), "--tls-replication", "yes", "--tls-cert-file", filepath.Join(dir, "tls.crt"),
		"--tls-key-file", filepath.Join(dir, "tls.key"), "--tls-ca-cert-file", filepath.Join(dir, "ca.crt")}, bigBacklog...)
	if ours {
		return secured{StartProcess(t, args...), port}
	}
	return secured{StartRedis(t, args...), port}
}

// TestChainsOverTLS: full syncs, live writes and cut links, with redis-server on either side of every link.
func TestChainsOverTLS(t *testing.T) {
	for name, ours := range map[string][3]bool{"ours-redis-ours": {true, false, true}, "redis-ours-redis": {false, true, false}, "ours": {true, true, true}} {
		t.Run(name, func(t *testing.T) {
			authority := pki.New(t)
			top, middle, bottom := startSecured(t, authority, ours[0]), startSecured(t, authority, ours[1]), startSecured(t, authority, ours[2])
			fill(top, 500)
			upper, lower := NewProxy(t, top.Port()), NewProxy(t, middle.Port())
			stop := writer(t, top.Peer.Port(), 1)
			replicate(t, middle, via(upper))
			replicate(t, bottom, via(lower))
			cutAtRandom(rand.New(rand.NewSource(1)), upper, lower)
			stop()
			AwaitLink(t, middle)
			AwaitLink(t, bottom)
			MustAgree(t, top, middle, bottom)
			for i, p := range []Peer{top, middle} {
				if got := p.Info("sync_full"); got != "1" {
					t.Errorf("server %d of the chain: sync_full %s, predicted 1", i, got)
				}
			}
		})
	}
}

// TestAStrangersLinkIsRefused: a master that another authority signed is not followed, and such a replica is not fed.
func TestAStrangersLinkIsRefused(t *testing.T) {
	master, replica := startSecured(t, pki.New(t), true), startSecured(t, pki.New(t), true)
	fill(master, 10)
	replica.Must("SET", "mine", "1")
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	Await(t, "the refusal", func() bool { return strings.Contains(replica.Peer.(*Process).Log(), "TLS: ") })
	if replica.Info("master_link_status") != "down" || master.Info("sync_full") != "0" {
		t.Errorf("link %s, full syncs %s", replica.Info("master_link_status"), master.Info("sync_full"))
	}
	if got := replica.Must("GET", "mine").String(); got != `"1"` {
		t.Errorf("the replica's data: %s", got)
	}
}

package link_test

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/resp"
	. "github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/settings"
)

// brokenMaster answers every PSYNC with a full sync that cannot be loaded.
func brokenMaster(t *testing.T, served *atomic.Int64) settings.Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	answer := func(words string) string {
		switch {
		case strings.Contains(words, "PING"):
			return "+PONG\r\n"
		case strings.Contains(words, "MEMBER"):
			return "+MEMBER s\r\n"
		case strings.Contains(words, "PSYNC"):
			served.Add(1)
			return fmt.Sprintf("+FULLRESYNC %040d 500\r\n$10\r\n0123456789", 7)
		}
		return "+OK\r\n"
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { nc.Close() })
			go func() {
				for r := resp.NewReader(nc); ; {
					v, err := r.Read()
					if err != nil {
						return
					}
					if _, err := nc.Write([]byte(answer(v.String()))); err != nil {
						return
					}
				}
			}()
		}
	}()
	return settings.Upstream{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port}
}

// TestDataGivenUpInPlaceGivesUpItsPlace: when memory holds one data set only and the new one cannot be loaded, an empty
// server must not say that it still stands at its old offset (S2).
func TestDataGivenUpInPlaceGivesUpItsPlace(t *testing.T) {
	v := &vouchers{set: "s", name: "r"}
	var lost, served atomic.Int64
	managed := v.managed()
	managed.Lost = func() { lost.Add(1) }
	s := StartMember(t, managed)
	s.Node.Lead(oplog.RandomID())
	s.Must("SET", "k", strings.Repeat("v", 1000))
	if s.Node.Offset() == 0 {
		t.Fatal("nothing was written to the stream")
	}
	s.Must("CONFIG", "SET", "maxmemory", "1000")
	s.Node.Follow(brokenMaster(t, &served))
	Await(t, "a second attempt", func() bool { return served.Load() >= 2 })
	if n := s.Must("DBSIZE").String(); n != "(integer) 0" {
		t.Fatalf("the data was not given up: %s keys", n)
	}
	if off := s.Node.Offset(); off != 0 || lost.Load() == 0 {
		t.Errorf("empty at offset %d, told %d times", off, lost.Load())
	}
}

// TestNewDataThatDoesNotFit: a data set that has grown a lot does not fit beside the old one while it comes from the socket. The
// old one stays, and is given up only when all of the new one is in a file.
func TestNewDataThatDoesNotFit(t *testing.T) {
	master := Start(t, noDelay...)
	master.Must("DEBUG", "POPULATE", "60000", "new", "1000")
	replica := Start(t, "--maxmemory", "20mb")
	replica.Must("SET", "old", "v")
	replicate(t, replica, master)
	MustAgree(t, master, replica)
	log := replica.Log()
	first, then := strings.Index(log, "two data sets do not fit"), strings.Index(log, "Flushing old data")
	if first < 0 || then < first {
		t.Errorf("the first attempt ended at %d of the log, the old data was given up at %d", first, then)
	}
	if full := replica.Info("full_syncs_loaded"); full != "1" {
		t.Errorf("%s full syncs were loaded", full)
	}
}

// TestSmallDataOfManySizesFits: of the pages that a small data set has, of every size in every partition, most are touched at their
// beginning only. What they could hold must not count, or the old data would be given up where both fit many times over.
func TestSmallDataOfManySizesFits(t *testing.T) {
	fill := []string{"EVAL", "for i = 1, 4000 do redis.call('SET', KEYS[1] .. i, string.rep('v', i % 400)) end", "1"}
	master := Start(t, noDelay...)
	master.Must(append(fill, "new:")...)
	replica := Start(t, "--maxmemory", "40mb")
	replica.Must(append(fill, "old:")...)
	replicate(t, replica, master)
	MustAgree(t, master, replica)
	log := replica.Log()
	for _, sign := range []string{"two data sets do not fit", "Flushing old data"} {
		if strings.Contains(log, sign) {
			t.Errorf("%q, with %s bytes of data and 40 MB for it", sign, replica.Info("used_memory"))
		}
	}
}

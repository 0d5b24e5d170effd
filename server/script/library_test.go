package script_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

const lib = "#!lua name=lib\nredis.register_function{function_name='F', callback=function(k, a) return a[1] end, flags={'no-writes'}, description='d'}"

func TestLibrariesReachReplicas(t *testing.T) {
	master, replica := servertest.Start(t), servertest.Start(t)
	master.Must("FUNCTION", "LOAD", lib)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if v := replica.Do("FCALL_RO", "f", "0", "hello"); v.String() == `"hello"` {
			break
		} else if time.Now().After(end) {
			t.Fatalf("after the full sync the function answers %s", v)
		}
	}
	master.Must("FUNCTION", "DELETE", "lib")
	for end := time.Now().Add(20 * time.Second); strings.Contains(replica.Do("FUNCTION", "LIST").String(), "lib"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the deletion did not reach the replica")
		}
	}
}

func TestDumpIsRedis(t *testing.T) {
	ours, real := servertest.Start(t), oracle.Start(t, "--save", "")
	ours.Must("FUNCTION", "LOAD", lib)
	real.Must("FUNCTION", "LOAD", lib)
	want, got := real.Must("FUNCTION", "DUMP"), ours.Must("FUNCTION", "DUMP")
	real.Must("FUNCTION", "RESTORE", string(got.Str), "FLUSH")
	ours.Must("FUNCTION", "RESTORE", string(want.Str), "FLUSH")
	w, g := real.Must("FUNCTION", "LIST", "WITHCODE").String(), ours.Must("FUNCTION", "LIST", "WITHCODE").String()
	if w != g {
		t.Errorf("redis-server: %s\nours:         %s", w, g)
	}
}

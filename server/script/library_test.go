package script_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

const lib = "#!lua name=lib\nredis.register_function{function_name='F', callback=function(k, a) return a[1] end, flags={'no-writes'}, description='d'}"

func TestLibrariesReachReplicas(t *testing.T) {
	master, replica := servertest.Start(t), servertest.Start(t)
	master.Must("FUNCTION", "LOAD", lib)
	replica.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port()))
	servertest.Await(t, "the function to answer after the full sync", func() bool {
		return replica.Do("FCALL_RO", "f", "0", "hello").String() == `"hello"`
	})
	master.Must("FUNCTION", "DELETE", "lib")
	servertest.Await(t, "the deletion to reach the replica", func() bool { return !strings.Contains(replica.Do("FUNCTION", "LIST").String(), "lib") })
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

// headers are first lines of libraries; redis-server answers the same to each.
var headers = []string{"#!lua name=\"foo\"", "#!lua name='foo'", "#!lua name=fo\"o\"", "#!lua name=\"foo", "#!lua  name=foo ", "#!LUA name=foo", "#!lua", "#!lua name=", "#!lua name=a-b",
	"#!lua name=foo name=foo", "#!lua foo=bar", "#!js name=foo", "#!", "lua name=foo", "#! name=foo", "#!\"lua\" name=foo"}

func TestHeadersAreReadAsRedisDoes(t *testing.T) {
	ours, real := servertest.Start(t), oracle.Start(t, "--save", "")
	for _, h := range headers {
		for _, args := range [][]string{{"FUNCTION", "LOAD", "REPLACE", h + "\nredis.register_function('f', function() return 1 end)"}, {"FUNCTION", "LIST"}} {
			if want, got := real.Do(args...).String(), ours.Do(args...).String(); want != got {
				t.Errorf("%s: %s\nredis-server: %s\nours:         %s", h, args[1], want, got)
			}
		}
	}
}

// TestCallersLimitsHoldInScripts: a script may do what its caller may, and functions too.
func TestCallersLimitsHoldInScripts(t *testing.T) {
	ours, real := servertest.Start(t), oracle.Start(t, "--save", "")
	for _, s := range []interface{ Must(...string) resp.Value }{ours, real} {
		s.Must("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(k, a) return redis.call(unpack(a)) end)")
		s.Must("SET", "mine", "1")
		s.Must("ACL", "SETUSER", "u", "on", "nopass", "+fcall", "+eval", "+get", "+sort", "+publish", "~mine", "&mine")
		s.Must("AUTH", "u", "x")
	}
	for _, call := range [][]string{{"get", "mine"}, {"get", "other"}, {"set", "mine", "2"}, {"publish", "other", "x"}, {"publish", "mine", "x"}, {"sort", "mine", "get", "x*"}, {"nosuch"}, {"get"}} {
		for _, args := range [][]string{append([]string{"FCALL", "f", "0"}, call...), append([]string{"EVAL", "return redis.call(unpack(ARGV))", "0"}, call...)} {
			want, got := real.Do(args...).String(), ours.Do(args...).String()
			if want, _, _ = strings.Cut(want, " script: "); !strings.HasPrefix(got, want) {
				t.Errorf("%q\nredis-server: %s\nours:         %s", args, want, got)
			}
		}
	}
}

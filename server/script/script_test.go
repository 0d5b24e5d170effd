package script_test

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// scripts give the same answer here and in a redis-server. Those that depend on the order of keys in a table do not belong
// here.
var scripts = []string{
	`return 1`, `return 1.9`, `return -1.9`, `return 'a'`, `return nil`, `return true`, `return false`, `return {}`, `return {1,2,nil,3}`, `return {1,{2,{3,'x'}}}`,
	`return {err='hi'}`, `return {err='CODE text'}`, `return {ok='fine'}`, `return {ok='a\nb'}`, `return {double=3.25}`, `return {map={a=1}}`, `return {set={a=true}}`,
	`return {big_number='123'}`, `return {verbatim_string={format='txt',string='x'}}`, `return {err=1}`, `return {ok=1, 5}`,
	`return redis.error_reply('hi')`, `return redis.error_reply('-hi')`, `return redis.error_reply('-MY err')`, `return redis.error_reply('MY err')`, `return redis.error_reply('')`,
	`return redis.error_reply()`, `return redis.status_reply('hi')`, `return redis.status_reply(1)`,
	`error('x')`, `error({err='A b'})`, `error('x', 0)`, `error()`, `error(5)`, `local a = nil; a = a + 1`, `return #5`,
	`return redis.call('nope')`, `return redis.call()`, `return redis.call('get')`, `return redis.call('get', {})`, `return redis.pcall('incr')`, `return redis.call('subscribe','a')`,
	`redis.call('set','s','x') return redis.call('incr','s')`, `return redis.pcall('incr','s')`, `return redis.pcall('incr','s').err`, `return redis.pcall('incr','s')['ignore_error_stats_update']`,
	`return {redis.call('set','n',10), redis.call('incr','n'), redis.call('get','n'), redis.call('get','missing')}`, `return redis.call('set','f',3.5)`, `redis.call('set','f',0.1) return redis.call('get','f')`,
	`redis.call('set','f',1e20) return redis.call('get','f')`, `redis.call('set','f',100) return redis.call('get','f')`, `return redis.call('hgetall','nohash')`, `redis.call('hset','h','a','1') return redis.call('hgetall','h')`,
	`redis.setresp(3) return redis.call('hgetall','h')`, `redis.setresp(3) return redis.call('get','missing')`, `redis.setresp(3) return true`, `redis.setresp(4)`, `redis.setresp()`, `redis.setresp(3) return redis.call('hgetall','h').map.a`,
	`redis.setresp(3) return redis.call('debug','protocol','double')`, `return redis.sha1hex('abc')`, `return redis.sha1hex()`, `return redis.sha1hex(12)`,
	`return redis.log(1)`, `return redis.log('a','b')`, `return redis.log(10,'x')`, `return redis.log(redis.LOG_DEBUG,'x')`, `return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING,redis.REPL_ALL,redis.REPL_AOF,redis.REPL_REPLICA,redis.REPL_NONE}`,
	`return redis.set_repl(8)`, `return redis.set_repl()`, `return redis.set_repl(redis.REPL_ALL)`, `return redis.replicate_commands()`, `return redis.breakpoint()`, `return redis.acl_check_cmd('set','a','b')`, `return redis.acl_check_cmd('nope')`, `return redis.acl_check_cmd()`,
	`return x`, `x = 1`, `_G.x = 1`, `redis.call = 1`, `return redis.nothing`, `string.x = 1`, `setmetatable(_G, {})`, `getmetatable(_G).__index = nil`, `rawset(_G, 'x', 1)`, `getmetatable('').__index = {}`, `table.insert(_G, 1)`,
	`return type(_G)`, `return type(print)`, `return pcall(loadfile)`, `return type(rawget(_G,'dofile'))`, `return _VERSION`, `return type(coroutine)`,
	`local t = {} for i=1,5 do t[i] = tostring(math.random()) end return t`, `math.randomseed(5) return {math.random(100), math.random(5,9), tostring(math.random())}`, `return math.random(0)`, `return math.random(1,2,3)`,
	`return {tostring(1), tostring(1.5), tostring(1e15), tostring(1e14), tostring(0.1+0.2), tostring(1/0), tostring(nil), tostring(true), tostring(1e100), tostring(123456789012)}`,
	`return {tonumber('10'), tonumber('0x10'), tonumber(' 5 '), tonumber('5x') == nil, tonumber('z',36), tonumber('1e2')}`,
	`return {string.format('%d %5.2f %s %q %x %X %o %c %e %g %i %u %%', 5, 1.234, 'a', 'b"\n', 255, 255, 8, 65, 12345.678, 0.0001, 7, 9)}`, `return string.format('%5s|%-5s|%05d|%+d|%.3s', 'a', 'b', 42, 5, 'abcdef')`, `return string.format('%s %s', 1.5, true)`, `return string.format('%y', 1)`, `return string.format('%g %g %g', 1e20, 100000, 1000000)`,
	`return string.format('%d', 'x')`, `return {string.find('hello world', 'o w'), string.match('key=val', '(%w+)=(%w+)'), string.gsub('aaa', 'a', 'b', 2), string.rep('ab', 3), string.byte('A'), string.char(72, 105), string.upper('x'), string.reverse('abc'), string.sub('hello', -3)}`,
	`return {unpack({1,2,3})}`, `return select('#', 1, 2, nil)`, `return {select(2, 'a', 'b', 'c')}`, `local t = {3,1,2} table.sort(t) return t`, `local t = {1,2} table.insert(t, 3) table.remove(t, 1) return t`, `return table.concat({1,2,'x'}, '-')`, `return {math.floor(1.5), math.ceil(1.5), math.max(1,5,3), math.abs(-2), math.fmod(7,3), math.pow(2,8), math.sqrt(16)}`,
	`return pcall(error, 'x')`, `return {pcall(function() error({err='X y'}) end)}`, `local ok, e = pcall(redis.call, 'nope') return e`, `return {xpcall(function() error('x', 0) end, function(m) return m .. '!' end)}`, `return assert(false, 'bad')`, `return assert(nil)`, `return loadstring('return 5')()`, `return {loadstring('return +')}`,
	`local co = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) return {co(), co()}`, `local co = coroutine.create(function(a) local b = coroutine.yield(a) return b end) local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 2) return {x, y, coroutine.status(co)}`,
	`return KEYS`, `return ARGV`, `return {KEYS[1], ARGV[1], #KEYS, #ARGV}`, `KEYS[1] = 'z' return KEYS[1]`,
	`return cjson.encode({1,2,3})`, `return cjson.encode({})`, `return cjson.encode({a=1})`, `return cjson.encode({1.5, 'a"\\/\n\t\127\1', true, cjson.null, 1e15, 1e14, 0.1, 100, -5})`, `return cjson.encode({[1]=1,[2]=2,[4]=4})`, `return cjson.encode({[1]=1,[100]=2})`, `return cjson.encode(1/0)`, `return cjson.encode(function() end)`, `local t = {} t[1]=t return cjson.encode(t)`, `return cjson.encode()`, `return cjson.encode('x')`, `return cjson.encode({[true]=1})`,
	`return cjson.decode('[1,2,{"a":null,"b":[true,false]},"x\\u00e9\\ud83d\\ude00\\n"]')`, `return cjson.decode('{"a":{"b":[1.5e3,-2]}}').a.b`, `return tostring(cjson.decode('1.25'))`, `return cjson.decode('[')`, `return cjson.decode('[1,]')`, `return cjson.decode('{"a" 1}')`, `return cjson.decode('{1:2}')`, `return cjson.decode('[1 2]')`, `return cjson.decode('nope')`, `return cjson.decode('')`, `return cjson.decode('[1] x')`, `return cjson.decode('"\\x"')`, `return cjson.decode('"\\u12"')`, `return cjson.decode('"abc')`, `return cjson.decode('[0x10, 1e2, -0]')`, `return cjson.decode(string.rep('[', 1100))`, `return cjson.decode('null') == cjson.null`, `return type(cjson.null)`, `return cjson.decode('[nan]') ~= nil`, `return cjson.decode('01')`, `return cjson.decode('-')`, `return cjson.decode('tru')`,
	`return {cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision()}`, `cjson.encode_number_precision(3) local s = cjson.encode(1.23456) cjson.encode_number_precision(14) return s`, `return cjson.encode_number_precision(99)`, `return {cjson.encode_sparse_array()}`, `return cjson.encode_invalid_numbers()`,
	`return cmsgpack.pack(1)`, `return cmsgpack.pack(1, -1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649)`, `return cmsgpack.pack(1.5, 0.1, 1e300)`, `return cmsgpack.pack('a', string.rep('x', 31), string.rep('x', 32), string.rep('x', 300), string.rep('y', 70000))`, `return cmsgpack.pack(nil, true, false, {})`, `return cmsgpack.pack({1,2,3}, {a=1}, {[1]=1,[3]=3})`, `local t = {1} t[1] = t return cmsgpack.pack(t)`, `return cmsgpack.pack()`,
	`return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {1,2,{x=5}}, true, 300, -300, 70000))}`, `return {cmsgpack.unpack('\217')}`, `return {cmsgpack.unpack('\193')}`, `return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3))}`, `return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1)}`, `return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}`, `return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 1, 2)}`, `return {cmsgpack.unpack_one('x', 5)}`, `return {cmsgpack.unpack_one('x', -1)}`, `return {cmsgpack.unpack('')}`,
	`return {struct.unpack('>I2', struct.pack('>I2', 258))}`, `return struct.pack('bBhHlLiIfdsc3x', 1, 2, 3, 4, 5, 6, 7, 8, 1.5, 2.5, 'abc', 'xyz')`, `return {struct.unpack('<i4>i4 s', struct.pack('<i4>i4 s', -5, -6, 'hey'))}`, `return struct.size('!4bi8')`, `return struct.size('s')`, `return struct.size('bhilfdT')`, `return {struct.unpack('i', 'x')}`, `return struct.pack('z', 1)`, `return {struct.unpack('bc0', struct.pack('bc0', 3, 'abc'))}`, `return struct.pack('i33', 1)`, `return {struct.unpack('b', 'abc', 2)}`, `return {struct.unpack('b', 'abc', 4)}`, `return {struct.unpack('s', 'abc')}`, `return struct.pack('!3b', 1)`, `return struct.pack('c5', 'abc')`, `return {struct.unpack('b', 'abc', 0)}`, `return struct.unpack('c0', 'abc')`, `return struct.unpack('I8', string.rep('\1', 8)) > 0`,
	`return {bit.band(0xff, 0x0f), bit.bor(1, 2, 4), bit.bxor(5, 3), bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(0x12345678, 8), bit.ror(0x12345678, 8), bit.bswap(0x12345678), bit.tobit(0xffffffff), bit.tohex(255), bit.tohex(-1, -4), bit.tohex(255, 2), bit.tobit(1.5), bit.tobit(2.5), bit.tobit(1e10)}`, `return bit.band()`, `return bit.tohex('x')`,
	"#!lua\nreturn 1", "#!lua flags=no-writes\nreturn redis.call('set','a','b')", "#!lua flags=no-writes,allow-stale\nreturn redis.call('get','n')", "#!lua flags=nope\nreturn 1", "#!python\nreturn 1", "#!lua", "#!lua x=1\nreturn 1", "#!lua name=x\nreturn 1", "#!lua \"flags=no-writes\"\nreturn 1", "#!lua flags=\"no-writes\"\nreturn redis.call('set','a','b')", "#!lua flags=\"no\nreturn 1", "#!\nreturn 1", "#! lua\nreturn 1",
	`redis.call('select', 3) redis.call('set', 'a', '1') return redis.call('dbsize')`, `return redis.call('dbsize')`, `return redis.call('ping')`, `return redis.call('echo', 'x')`, `return redis.call('publish', 'c', 'x')`, `return redis.call('time')[1] ~= nil`, `return redis.call('config', 'get', 'port')`, `return redis.call('eval', 'return 1', 0)`, `return redis.call('cluster', 'reset')`, `return redis.call('cluster', 'info')`, `return redis.pcall('readonly').err`, `return redis.call('module', 'list')`, `return redis.call('monitor')`, `return redis.call('acl', 'whoami')`, `return redis.call('acl', 'cat', 'transaction', 'x')`, `return redis.call('multi')`, `return redis.call('object', 'nope')`, `return redis.call('expire', 'n')`,
}

// loose compares what both say where the wording is the Lua interpreter's own: that there is an error.
func same(want, got resp.Value) bool {
	w, g := want.String(), got.String()
	if w == g {
		return true
	}
	isErr := strings.HasPrefix(w, "(error) ERR user_script") && strings.HasPrefix(g, "(error) ERR user_script")
	for _, foreign := range []string{"bad argument", "attempt to", "near '"} {
		if isErr && strings.Contains(w, foreign) {
			return true
		}
	}
	return strings.Contains(w, "Error compiling script") && strings.Contains(g, "Error compiling script")
}

func TestScriptsAnswerAsRedisDoes(t *testing.T) {
	ours, real := servertest.Start(t), oracle.Start(t, "--save", "")
	for _, proto := range []string{"2", "3"} {
		ours.Do("HELLO", proto)
		real.Do("HELLO", proto)
		for _, s := range scripts {
			for _, cmd := range []string{"EVAL", "EVAL_RO"} {
				args := []string{cmd, s, "1", "key", "arg"}
				if want, got := real.Do(args...), ours.Do(args...); !same(want, got) {
					t.Errorf("%s %q\nredis-server: %s\nours:         %s", cmd, s, want, got)
				}
			}
		}
	}
}

func TestLongScriptLetsOthersIn(t *testing.T) {
	s := servertest.Start(t, "--busy-reply-threshold", "20")
	other := servertest.Dial(t, s.Port(), "")
	go func() { s.Do("EVAL", "while true do end", "0") }()
	servertest.Await(t, "another client to be told that a script runs for ever", func() bool {
		return strings.HasPrefix(other.Do("GET", "k").String(), "(error) BUSY")
	})
	if v := other.Do("SCRIPT", "KILL"); v.String() != "OK" {
		t.Fatalf("SCRIPT KILL: %s", v)
	}
	servertest.Await(t, "the script to be ended", func() bool { return other.Do("PING").String() == "PONG" })
}

// FuzzScripts looks for scripts that crash the server or do not end.
func FuzzScripts(f *testing.F) {
	for _, s := range scripts {
		f.Add(s)
	}
	s := servertest.Start(f, "--busy-reply-threshold", "50")
	killer := servertest.Dial(f, s.Port(), "")
	f.Fuzz(func(t *testing.T, body string) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Do("EVAL", body, "1", "key", "arg")
		}()
		for end := time.Now().Add(30 * time.Second); ; {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
				killer.Do("SCRIPT", "KILL")
			}
			if time.Now().After(end) {
				t.Fatalf("does not end: %q", body)
			}
		}
	})
}

package diff

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

// since72 are conversations about what Redis 7.2 added, which the redis-server of the other tests does not know: who of
// several clients (m0, who never waits, to m2) says what, or gets something at last, and a regular expression for the reply or
// "blocks". Nothing is expected of a line without one. In words _ is a space and ~ nothing.
var since72 = map[string]string{
	"ranks with scores": `
		m0 ZADD z 1 a 2.5 b 3 c
		m0 ZRANK z b WITHSCORE           => \*\[\(integer\) 1 "2\.5"\]
		m0 ZREVRANK z a withscore        => \*\[\(integer\) 2 "1"\]
		m0 ZRANK z none WITHSCORE        => \(nil\)
		m0 ZRANK nokey a WITHSCORE       => \(nil\)
		m0 ZRANK z b WITHSCORES          => \(error\) ERR syntax error
		m0 ZRANK z b WITHSCORE x         => \(error\) ERR wrong number of arguments for 'zrank' command
		m0 SET s v
		m0 ZREVRANK s b WITHSCORE        => \(error\) WRONGTYPE .*
		m0 HELLO 3
		m0 ZRANK z b WITHSCORE           => \*\[\(integer\) 1 \(double\) 2\.5\]
		m0 CONFIG SET zset-max-listpack-entries 2
		m0 ZADD z 4 d
		m0 OBJECT ENCODING z             => "skiplist"
		m0 ZREVRANK z d WITHSCORE        => \*\[\(integer\) 0 \(double\) 4\]`,
	"libraries name themselves": `
		m0 CLIENT SETINFO lib-name lib.py                  => OK
		m0 CLIENT SETINFO LIB-VER 1.2.3                    => OK
		m0 CLIENT INFO                                     => ".* lib-name=lib\.py lib-ver=1\.2\.3\\n"
		m0 CLIENT SETINFO lib-name a_b                     => \(error\) ERR lib-name cannot contain spaces, newlines or special characters\.
		m0 CLIENT SETINFO lib-ver a_b                      => \(error\) ERR lib-ver cannot contain spaces, newlines or special characters\.
		m0 CLIENT SETINFO badger hamster                   => \(error\) ERR Unrecognized option 'badger'
		m0 CLIENT SETINFO lib-name                         => \(error\) ERR wrong number of arguments for 'client\|setinfo' command
		m0 RESET                                           => RESET
		m0 CLIENT LIST                                     => ".* lib-name=lib\.py lib-ver=1\.2\.3\\n.*"
		m0 CLIENT SETINFO lib-name ~                       => OK
		m0 CLIENT INFO                                     => ".* lib-name= lib-ver=1\.2\.3\\n"`,
	"clocks that stay": `
		m0 CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0 lfu-decay-time 0
		m0 SET k v
		m0 CLIENT NO-TOUCH sideways      => \(error\) ERR syntax error
		m0 CLIENT NO-TOUCH ON            => OK
		m0 CLIENT LIST                   => ".* flags=T .*"
		m0 GET k                         => "v"
		m0 APPEND k w                    => \(integer\) 2
		m0 EVAL return_redis.call('GET','k') 0
		m0 MULTI
		m0 STRLEN k
		m0 EXEC
		m0 OBJECT FREQ k                 => \(integer\) 5
		m0 TOUCH k                       => \(integer\) 1
		m0 OBJECT FREQ k                 => \(integer\) 6
		m1 GET k                         => "vw"
		m0 OBJECT FREQ k                 => \(integer\) 7
		m0 CLIENT NO-TOUCH OFF           => OK
		m0 GET k                         => "vw"
		m0 OBJECT FREQ k                 => \(integer\) 8
		m0 CLIENT NO-TOUCH ON            => OK
		m0 RESET                         => RESET
		m0 GET k                         => "vw"
		m0 OBJECT FREQ k                 => \(integer\) 9`,
	"a greeting that fails changes nothing": `
		m0 ACL SETUSER u on >p +@all
		m1 CLIENT SETNAME before
		m1 HELLO 3 AUTH u p SETNAME a_b  => \(error\) ERR Client names cannot contain spaces, newlines or special characters\.
		m1 HELLO 3 SETNAME after AUTH u wrong => \(error\) WRONGPASS .*
		m1 HELLO 4 AUTH u p              => \(error\) NOPROTO .*
		m1 HELLO 3 AUTH u p SETNAME      => \(error\) ERR Syntax error in HELLO option 'SETNAME'
		m1 ACL WHOAMI                    => "default"
		m1 CLIENT GETNAME                => "before"`,
	"a shard": `
		m0 CLUSTER MYSHARDID             => \(error\) ERR This instance has cluster support disabled`,
	"consumers that get something": `
		m0 XGROUP CREATE s g $ MKSTREAM
		m0 XGROUP CREATECONSUMER s g c
		m0 XINFO CONSUMERS s g           => \*\[\*\["name" "c" "pending" \(integer\) 0 "idle" \(integer\) \d+ "inactive" \(integer\) -1\]\]
		m0 XREADGROUP GROUP g c STREAMS s >
		m0 XINFO STREAM s FULL           => .*"name" "c" "seen-time" \(integer\) \d{13} "active-time" \(integer\) -1 "pel-count" \(integer\) 0 .*
		m0 XADD s 1-0 f v
		m0 XREADGROUP GROUP g c NOACK STREAMS s >
		m0 XINFO STREAM s FULL           => .*"active-time" \(integer\) -1 .*
		m0 XADD s 2-0 f v
		m0 XREADGROUP GROUP g c STREAMS s >
		m0 XINFO STREAM s FULL           => .*"name" "c" "seen-time" \(integer\) \d{13} "active-time" \(integer\) \d{13} "pel-count" \(integer\) 1 .*
		m0 XINFO CONSUMERS s g           => .* "inactive" \(integer\) \d+\]\]
		m0 COPY s t
		m0 XINFO STREAM t FULL           => .*"active-time" \(integer\) \d{13} .*
		m0 XGROUP CREATECONSUMER s g d
		m0 XCLAIM s g d 1000000 2-0      => \*\[\]
		m0 XINFO CONSUMERS s g           => .*"name" "d" .* "inactive" \(integer\) -1\]\]
		m0 XAUTOCLAIM s g d 0 0 JUSTID
		m0 XINFO CONSUMERS s g           => .*"name" "d" .* "inactive" \(integer\) \d+\]\]`,
	"who waits and may not any more": `
		m0 ACL SETUSER u on nopass +@all allkeys
		m1 AUTH u x                      => OK
		m1 BLPOP l 0                     => blocks
		m2 BLPOP l 0                     => blocks
		m0 ACL SETUSER u resetkeys
		m0 RPUSH l a                     => \(integer\) 1
		m1                               => \(error\) NOPERM .*
		m2                               => \*\["l" "a"\]
		m1 PING                          => PONG
		m0 ACL SETUSER u allkeys -xread
		m2 XREAD BLOCK 0 STREAMS s $     => blocks
		m1 XREAD BLOCK 0 STREAMS s $     => \(error\) NOPERM .*
		m0 INFO commandstats             => .*cmdstat_blpop:[^\\]*,rejected_calls=1,failed_calls=0.*`,
	"the log of refusals": `
		m0 ACL LOG RESET
		m0 ACL SETUSER u on nopass +ping +auth
		m1 AUTH u x                      => OK
		m1 GET k                         => \(error\) NOPERM .*
		m1 SET k v                       => \(error\) NOPERM .*
		m1 GET k                         => \(error\) NOPERM .*
		m0 ACL LOG 1                     => .*"count" \(integer\) 2 .* "entry-id" \(integer\) 0 "timestamp-created" \(integer\) \d{13} "timestamp-last-updated" \(integer\) \d{13}\]\]
		m0 ACL LOG RESET
		m1 GET k                         => \(error\) NOPERM .*
		m0 ACL LOG                       => \*\[.*"count" \(integer\) 1 .* "entry-id" \(integer\) 2 .*`,
}

// TestSince72 has the conversations of since72.
func TestSince72(t *testing.T) {
	for name, talk := range since72 {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t)
			c := newCrowd(t, "tcp", fmt.Sprintf("127.0.0.1:%d", s.Port()), 4)
			for line := range strings.Lines(talk) {
				if line = strings.TrimSpace(line); line != "" {
					c.talk(line)
				}
			}
		})
	}
}

// talk does what a line says, and compares what is seen then with what it expects.
func (c *crowd) talk(line string) {
	c.t.Helper()
	said, want, expects := strings.Cut(line, "=>")
	words := strings.Fields(said)
	who, words := int(words[0][1]-'0'), words[1:]
	m := c.members[who]
	if len(words) > 0 {
		for i, w := range words {
			words[i] = strings.NewReplacer("_", " ", "~", "").Replace(w)
		}
		c.log = nil
		c.step(who, words)
	}
	if !expects {
		return
	}
	seen := ""
	for i, entry := range c.log {
		if after, ok := strings.CutPrefix(entry, fmt.Sprintf("%s %q: ", m.name, words)); ok && len(words) > 0 {
			seen = after
		} else if after, ok := strings.CutPrefix(entry, m.name+" gets "); ok && len(words) == 0 {
			seen = after
		} else {
			continue
		}
		c.log = slices.Delete(c.log, i, i+1)
		break
	}
	if seen == "" { // something behind a push
		seen = c.await(m).String()
	}
	if !regexp.MustCompile("(?s)^(?:" + strings.TrimSpace(want) + ")$").MatchString(seen) {
		c.t.Errorf("%s\ngot %s", line, seen)
	}
}

package diff

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
	"github.com/understudy-db/understudy/server/servertest/oracle"
)

// aclTalk is a conversation of several clients about users. The first word names the client; a tilde inside quotes would be in
// the way of reading, so a space inside of an argument is written as "_".
var aclTalk = strings.Split(strings.TrimSpace(`
admin ACL LIST
admin ACL WHOAMI
admin ACL USERS
admin ACL CAT
admin ACL CAT transaction
admin ACL CAT Transaction
admin ACL CAT nosuch
admin ACL CAT a b
admin ACL
admin ACL NOSUCH
admin ACL HELP
admin ACL HELP x
admin ACL SETUSER
admin ACL SETUSER a_b
admin ACL SETUSER u
admin ACL SETUSER u on >a +@all -@string +incr -debug +debug|digest ~a* %R~b %RW~* &x
admin ACL GETUSER u
admin ACL GETUSER nosuch
admin ACL SETUSER v +@all (+get ~x) ( -@all +set %W~y &c ) skip-sanitize-payload nopass ~* allchannels
admin ACL GETUSER v
admin ACL LIST
admin ACL SETUSER v clearselectors sanitize-payload
admin ACL SETUSER v +get (~a +set (~b
admin ACL SETUSER v +get (~a +set c
admin ACL SETUSER v (~a +set (~b )
admin ACL GETUSER v
admin ACL SETUSER v (~a +set (~b) x)
admin ACL SETUSER v clearselectors
admin ACL GETUSER v
admin ACL SETUSER w reset +@all -config -config|get
admin ACL SETUSER w +config|get
admin ACL GETUSER w
admin ACL SETUSER w +@all -multi
admin ACL GETUSER w
admin ACL SETUSER w reset -@all +select|0 +select|1 +select|0 +config|get +config|set
admin ACL GETUSER w
admin ACL SETUSER w +select
admin ACL GETUSER w
admin ACL SETUSER w +config
admin ACL GETUSER w
admin ACL SETUSER w nocommands allkeys resetkeys %R~foo %W~foo %R~foo
admin ACL GETUSER w
admin ACL SETUSER w #34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6 >x <x
admin ACL GETUSER w
admin ACL SETUSER w !34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6
admin ACL SETUSER w !34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6
admin ACL SETUSER new bad
admin ACL GETUSER new
admin ACL DELUSER default
admin ACL DELUSER a b c
admin ACL DELUSER w w new
admin ACL SAVE
admin ACL LOAD
admin ACL GENPASS 0
admin ACL GENPASS 4097
admin ACL GENPASS x
admin ACL GENPASS 1 2
admin ACL LOG x
admin ACL LOG -1
admin ACL LOG 1 2
admin ACL LOG RESET
admin ACL SETUSER w reset on nopass +get +client|setname +client|id +client|kill +client|list +client|getname +eval +fcall +multi +exec +acl +sort +publish +subscribe +psubscribe +mget +select|0 ~k* %W~w* &ch &p*
admin SET k 1
one ACL WHOAMI
one AUTH w
one AUTH w x
one ACL WHOAMI
one SET k 1
one GET x
one GET k
one GET w
one MGET k1 k2 x y
one PUBLISH a b
one PUBLISH ch b
one CONFIG GET x
one CONFIG NOSUCH
one SELECT 0
one SELECT 1
one PING
one EVAL return_redis.call('set','k','1') 0
one EVAL return_redis.call('get','x') 0
one EVAL return_redis.pcall('get','x') 0
one EVAL return_redis.call('publish','x','y') 0
one EVAL return_redis.acl_check_cmd('get','x') 0
one EVAL return_redis.acl_check_cmd('get','k') 0
one EVAL return_redis.acl_check_cmd('nosuch','k') 0
one EVAL return_redis.acl_check_cmd() 0
one EVAL return_redis.acl_check_cmd({}) 0
one EVAL return_1 1 x
one EVAL return_1 1 k
one EVAL return_1 2 x
one SORT k BY x GET #
one SORT k BY x*
one SORT k GET x
one MULTI
one GET x
one EXEC
one MULTI
one GET k
one PUBLISH ch x
admin ACL SETUSER w -get resetchannels
one EXEC
admin ACL SETUSER w +get
one MULTI
one GET k
admin ACL SETUSER w resetkeys ~z
one EXEC
one SUBSCRIBE x
one PSUBSCRIBE x*
one AUTH nosuch x
one HELLO 3 AUTH w y
one GET nothing
one HELLO 2 AUTH nosuch y
one RESET
one ACL WHOAMI
admin ACL LOG
admin ACL LOG 2
admin CONFIG SET acllog-max-len 3
admin ACL LOG 100
one AUTH w x
one GET a
one GET b
one GET b
admin ACL LOG 100
admin ACL DRYRUN w GET x
admin ACL DRYRUN w GET z
admin ACL DRYRUN w PUBLISH x y
admin ACL DRYRUN w SET x y
admin ACL DRYRUN w SET x
admin ACL DRYRUN w NOSUCH x
admin ACL DRYRUN nosuch GET x
admin ACL DRYRUN w CONFIG GET x
admin ACL DRYRUN w CONFIG NOSUCH x
admin ACL DRYRUN w CONFIG
admin ACL DRYRUN w CONFIG|GET x
admin ACL SETUSER s on nopass +@all (~r* %R~both* +get) (%W~both* +set) ~root*
two AUTH s x
two GET r1
two SET r1 x
two SET both1 x
two SET both1 x GET
two GET both1
two GET root
two COPY r1 both1
two EXISTS both1
two TOUCH nowhere
two OBJECT ENCODING nowhere
two CLIENT KILL USER nosuch
two CLIENT LIST TYPE normal x
admin CONFIG SET acl-pubsub-default allchannels
admin ACL SETUSER open
admin ACL GETUSER open
admin ACL SETUSER open &x
admin ACL SETUSER open reset
admin ACL GETUSER open
admin CONFIG SET requirepass secret
admin ACL GETUSER default
three PING
three AUTH wrong
three AUTH default wrong
three HELLO 3
three AUTH s whatever
three ACL WHOAMI
three AUTH secret
three ACL WHOAMI
admin ACL SETUSER default >more
four AUTH more
four PING
admin CONFIG SET requirepass _
admin CONFIG GET requirepass
admin ACL SETUSER default off
five PING
five AUTH secret
five AUTH w x
admin ACL SETUSER default on nopass
six PING
six AUTH x
admin ACL SETUSER s off
two PING
six AUTH s x
admin CLIENT KILL USER w
`), "\n")

// modifiers are rules that are wrong in one way or the other, and odd ones that are right.
var modifiers = []string{"+nosuch", "-nosuch", "+config|asdf", "-config|asdf", "+config|", "+get|", "+get|k", "+config|get|x", "-get|k", "+@nosuch", "foo", "%X~a", "%~a", "%RR~a", "%R", "~a b", "&a b",
	"<nosuch", "!a", "#a", "(", ")", "( +get", "(+nosuch)", "()", "( )", "(on)", "(~* ~a)", "(+get|x|y)", ">", "+", "-", "+@", "~", "&", "%rw~k", "ON", "ALLKEYS", "~x", "resetkeys", "+GET", "+CONFIG|GET", "+@READ", "+select|0", "+Select|0",
	"-select|0", "allchannels", "&x", "", " ", "+@all", "-@all", "+cluster|slots", "-migrate", "+debug|a", "(%W~a +@write)", "reset"}

// TestACLAgainstRedis has the same conversations with both servers.
func TestACLAgainstRedis(t *testing.T) {
	real, ours := servertest.StartRedis(t, "--save", ""), servertest.Start(t)
	type pair struct{ real, ours *servertest.Client }
	clients := map[string]pair{}
	for _, line := range aclTalk {
		words := strings.Fields(line)
		c, known := clients[words[0]]
		if !known {
			c = pair{servertest.Dial(t, real.Port(), ""), servertest.Dial(t, ours.Port(), "")}
			clients[words[0]] = c
			defer c.real.Close()
			defer c.ours.Close()
		}
		for i, w := range words {
			words[i] = strings.ReplaceAll(w, "_", " ")
			if w == "acl_check_cmd" || strings.Contains(w, "acl_check_cmd") {
				words[i] = strings.ReplaceAll(words[i], "acl check cmd", "acl_check_cmd")
			}
		}
		if words[len(words)-1] == " " {
			words[len(words)-1] = ""
		}
		compareACL(t, line, c.real.Do(words[1:]...), c.ours.Do(words[1:]...))
	}
	for _, m := range modifiers {
		for _, args := range [][]string{{"ACL", "SETUSER", "t", m}, {"ACL", "LIST"}} {
			compareACL(t, m, real.Do(args...), ours.Do(args...))
		}
	}
}

func compareACL(t *testing.T, line string, want, got resp.Value) {
	t.Helper()
	if strings.Contains(line, "HELLO") && want.Kind != '-' {
		want, got = resp.Value{}, resp.Value{Kind: got.Kind - want.Kind} // names the program
	}
	plainACL(&want)
	plainACL(&got)
	if !equal(&want, &got) {
		t.Errorf("%s\nredis-server: %.3000s\nours:         %.3000s", line, want, got)
	}
}

// plainACL takes off what may differ: how long ago something was, what CLIENT INFO tells, and the order of commands and of
// rules for commands.
func plainACL(v *resp.Value) {
	text := string(v.Str)
	switch {
	case strings.HasPrefix(text, "id="):
		_, text, _ = strings.Cut(text, "cmd=")
		v.Str, _, _ = cut(text, " redir=")
	case strings.HasPrefix(text, "user "), strings.HasPrefix(text, "+@all"), strings.HasPrefix(text, "-@all"):
		words := strings.Fields(text)
		slices.Sort(words)
		v.Str = []byte(strings.Join(words, " "))
	}
	if n := len(v.Elems); n == 20 && string(v.Elems[14].Str) == "entry-id" { // what ACL LOG tells since Redis 7.2
		v.Elems = v.Elems[:14]
	}
	for i := range v.Elems {
		plainACL(&v.Elems[i])
		if i > 0 && string(v.Elems[i-1].Str) == "age-seconds" {
			v.Elems[i] = resp.Value{Kind: v.Elems[i].Kind}
		}
	}
	if len(v.Elems) == 5 && string(v.Elems[0].Str) != "flags" { // ACL CAT transaction
		sortElems(v.Elems, 1)
	}
}

func cut(s, sep string) (before, after []byte, found bool) {
	b, a, ok := strings.Cut(s, sep)
	return []byte(b), []byte(a), ok
}

// userFiles are files of users; the second half have something wrong in them.
var userFiles = []string{
	"",
	"user alice on allcommands allkeys &* >alice\n\n  user bob on +get (+set ~a)  \nuser zed\nuser new (+get ~x) ( +set ~y )\r\n",
	"user default on >secret ~* +@all\nuser default2 reset\n",
	"# user carl\nuser zed\n", "user default off\nuser q on nopass +@all ~* &* sanitize-payload\n",
	"user a\nuser b +x\nuser a\nfoo\nuser\n user c (+get\nuser d &x &* &y\n",
	"user a on\nuser a off\n", "user default on\nuser default off", "user b foo\n", "user b (foo)\n", "user b >\nUSER c on\n", "user e +@x (+y)", "user f )", "user g #1", "user h !1",
}

// TestUsersOfFiles: both servers read and write the same files of users.
func TestUsersOfFiles(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	write := func(text string) {
		t.Helper()
		for _, dir := range dirs {
			if err := os.WriteFile(filepath.Join(dir, "users"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(userFiles[1])
	real := oracle.StartIn(t, dirs[0], "--save", "", "--aclfile", "users")
	ours := servertest.Start(t, "--dir", dirs[1], "--aclfile", "users")
	admin := func(d Doer) { // whoever is the default user now, this one may go on
		d.Do("ACL", "SETUSER", "admin", "on", "nopass", "+@all", "~*", "&*")
		d.Do("AUTH", "admin", "x")
	}
	both := func(name string, args ...string) {
		t.Helper()
		compareACL(t, name, real.Do(args...), ours.Do(args...))
	}
	for _, text := range userFiles {
		write(text)
		both(text, "ACL", "LOAD")
		both(text, "ACL", "LIST")
		admin(real)
		admin(ours)
		both(text, "ACL", "SAVE")
		want, err := os.ReadFile(filepath.Join(dirs[0], "users"))
		got, err2 := os.ReadFile(filepath.Join(dirs[1], "users"))
		if err != nil || err2 != nil || string(want) != string(got) {
			t.Errorf("%q: redis-server saved\n%sours\n%s%v %v", text, want, got, err, err2)
		}
		for _, d := range []Doer{real, ours} { // the next LOAD removes the user admin
			d.Do("ACL", "SETUSER", "default", "on", "nopass", "+@all")
			d.Do("AUTH", "default", "x")
		}
	}
	for _, dir := range dirs {
		if err := os.Remove(filepath.Join(dir, "users")); err != nil {
			t.Fatal(err)
		}
	}
	both("no file", "ACL", "LOAD")
}

// TestUsersOfTheConfiguration: users declared beside other directives.
func TestUsersOfTheConfiguration(t *testing.T) {
	args := []string{"--save", "", "--user", "default", "on", "nopass", "~*", "+@all", "-flushdb", "--user", "bob", "on", ">x", "(+get", "~a)", "( +set ~b )", "--user", "carl", "reset", "--acllog-max-len", "2"}
	real, ours := servertest.StartRedis(t, args...), servertest.Start(t, args...)
	for _, args := range [][]string{{"ACL", "LIST"}, {"ACL", "GETUSER", "bob"}, {"FLUSHDB"}, {"SUBSCRIBE", "x"}, {"AUTH", "bob", "x"}, {"GET", "b"}, {"GET", "a"}} {
		compareACL(t, strings.Join(args, " "), real.Do(args...), ours.Do(args...))
	}
}

package diff

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/servertest"
)

// notOurs are fields of redis-server that are not there, and why.
var notOurs = map[string]string{
	"gcc_version":               "no C compiler has seen the program; go_version stands for it",
	"used_cpu_sys_main_thread":  "there is no main thread: clients are spread over event loops",
	"used_cpu_user_main_thread": "there is no main thread: clients are spread over event loops",
}

// oursAlone are fields that redis-server 7.0 does not have.
var oursAlone = regexp.MustCompile(`^(go_version|understudy_version|full_syncs_loaded|full_sync_guard_kept|repl_disk_backlog_bytes|synchronous_replicas|committed_offset|unconfirmed_replies` +
	`|acl_access_denied_(auth|cmd|key|channel)` + // since Redis 7.2
	`|lib-name|lib-ver)$`) // since Redis 7.2

var fieldLine = regexp.MustCompile(`(?m)^([a-zA-Z_0-9.|]+):`)

// sections are the fields of INFO by section.
func sections(t *testing.T, c *servertest.Client) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, part := range strings.Split(string(c.Do("INFO", "everything").Str), "# ")[1:] {
		name, body, _ := strings.Cut(part, "\r\n")
		all[name] = []string{}
		for _, m := range fieldLine.FindAllStringSubmatch(body, -1) {
			all[name] = append(all[name], m[1])
		}
	}
	return all
}

// compareFields wants the same names, but for those that are listed.
func compareFields(t *testing.T, what string, theirs, ours []string) {
	t.Helper()
	for _, name := range theirs {
		if !slices.Contains(ours, name) && notOurs[name] == "" {
			t.Errorf("%s: %s is missing", what, name)
		}
	}
	for _, name := range ours {
		if !slices.Contains(theirs, name) && !oursAlone.MatchString(name) {
			t.Errorf("%s: redis-server does not have %s", what, name)
		}
	}
}

// busyServers are a master and a replica of each kind after the same commands, which make every field appear.
func busyServers(t *testing.T) (theirs, ours [2]*servertest.Client) {
	args := []string{"--appendonly", "yes", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1000"}
	r, o := servertest.StartRedis(t, args...), servertest.StartProcess(t, append(args, "--repl-diskless-sync-delay", "0")...)
	rr, or := servertest.StartRedis(t), servertest.StartProcess(t)
	rr.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(r.Port()))
	or.Must("REPLICAOF", "127.0.0.1", strconv.Itoa(o.Port()))
	servertest.AwaitLink(t, rr)
	servertest.AwaitLink(t, or)
	theirs, ours = [2]*servertest.Client{r.Client, rr.Client}, [2]*servertest.Client{o.Client, or.Client}
	for _, c := range []*servertest.Client{r.Client, o.Client} {
		servertest.Await(t, "a good replica", func() bool { return !c.Do("SET", "k", "v", "EX", "1000000").IsError() })
		c.Do("SELECT", "3")
		c.Do("SET", "k", "v")
		c.Do("SELECT", "0")
		c.Do("NOSUCH")
		c.Do("GET")
		if n := c.Must("WAIT", "1", "50000").Int; n != 1 {
			t.Fatalf("%d replicas have everything", n)
		}
	}
	return theirs, ours
}

// TestFieldsOfInfo compares the fields of every section, of a master and of a replica.
func TestFieldsOfInfo(t *testing.T) {
	theirs, ours := busyServers(t)
	for i, role := range []string{"master", "replica"} {
		want, got := sections(t, theirs[i]), sections(t, ours[i])
		for name := range want {
			if name == "Commandstats" || name == "Latencystats" || name == "Errorstats" { // depends on what the tests' clients have sent
				continue
			}
			compareFields(t, role+": INFO "+name, want[name], got[name])
		}
		for name := range got {
			if _, ok := want[name]; !ok && name != "Understudy" {
				t.Errorf("%s: redis-server has no section %s", role, name)
			}
		}
	}
	for _, re := range []string{`(?m)^db0:keys=1,expires=1,avg_ttl=99\d{7}\r$`, `(?m)^db3:keys=1,expires=0,avg_ttl=0\r$`, `(?m)^errorstat_ERR:count=\d+\r$`,
		`(?m)^cmdstat_get:calls=\d+,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=\d+,failed_calls=\d+\r$`,
		`(?m)^latency_percentiles_usec_set:p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+\r$`} {
		for side, c := range []*servertest.Client{theirs[0], ours[0]} {
			if text := string(c.Do("INFO", "everything").Str); !regexp.MustCompile(re).MatchString(text) {
				if side == 0 && strings.Contains(re, "avg_ttl") {
					continue // its cycle has to meet the key first
				}
				t.Errorf("no %s in %s", re, text)
			}
		}
	}
}

// TestBytesOfReplicationAreCounted on both ends of the link, and by CONFIG RESETSTAT no more.
func TestBytesOfReplicationAreCounted(t *testing.T) {
	m := servertest.StartProcess(t, "--repl-diskless-sync-delay", "0")
	m.Must("SET", "big", strings.Repeat("x", 1<<20), "EX", "1000")
	m.Must("CONFIG", "SET", "rdbcompression", "no")
	s := servertest.StartProcess(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", m.Port()))
	servertest.AwaitLink(t, s)
	number := func(c *servertest.Client, name string) int64 {
		n, err := strconv.ParseInt(infoField(c, name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	in := number(s.Client, "total_net_repl_input_bytes")
	if in < 1<<20 {
		t.Errorf("the payload of a megabyte counts %d bytes received", in)
	}
	servertest.Await(t, "the payload to be counted as sent", func() bool { return number(m.Client, "total_net_repl_output_bytes") >= 1<<20 })
	if all := number(s.Client, "total_net_input_bytes"); all < in {
		t.Errorf("%d bytes received, %d of them from the master", all, in)
	}
	m.Must("CONFIG", "RESETSTAT")
	if out := number(m.Client, "total_net_repl_output_bytes"); out > 1000 {
		t.Errorf("after RESETSTAT %d bytes are counted", out)
	}
	m.Must("SET", "big", strings.Repeat("y", 1<<20))
	servertest.Await(t, "the stream to be counted", func() bool { return number(m.Client, "total_net_repl_output_bytes") > 1<<20 })
	servertest.Await(t, "a rate", func() bool { // it tells of the latest seconds
		m.Must("SET", "big", strings.Repeat("y", 1<<20))
		return infoField(m.Client, "instantaneous_output_repl_kbps") != "0.00"
	})
}

// namesIn are the names of a line of CLIENT LIST.
func namesIn(line string) (names []string) {
	for _, w := range strings.Fields(line) {
		name, _, _ := strings.Cut(w, "=")
		names = append(names, name)
	}
	return names
}

// TestFieldsOfClients compares the lines of CLIENT LIST and CLIENT INFO, of clients and of replicas, and MEMORY STATS.
func TestFieldsOfClients(t *testing.T) {
	theirs, ours := busyServers(t)
	for i := range theirs {
		for _, command := range [][]string{{"CLIENT", "INFO"}, {"CLIENT", "LIST"}, {"CLIENT", "LIST", "TYPE", "replica"}, {"CLIENT", "LIST", "TYPE", "master"}} {
			want, _, _ := strings.Cut(string(theirs[i].Do(command...).Str), "\n")
			got, _, _ := strings.Cut(string(ours[i].Do(command...).Str), "\n")
			compareFields(t, strings.Join(command, " "), namesIn(want), namesIn(got))
		}
		compareFields(t, "MEMORY STATS", evenNames(theirs[i].Do("MEMORY", "STATS")), evenNames(ours[i].Do("MEMORY", "STATS")))
	}
}

// evenNames are the names of a flat map.
func evenNames(v resp.Value) (names []string) {
	for i := 0; i < len(v.Elems); i += 2 {
		names = append(names, string(v.Elems[i].Str))
	}
	return names
}

package repl

import (
	"fmt"
	"strconv"
	"strings"
)

// FeedRequest is what a standalone master knows when a replica needs a full sync.
type FeedRequest struct {
	Guard       bool // the directive; false lets everything through
	BornEmpty   bool // this process started with nothing to load and has had no history from elsewhere since
	Persistence bool // save points or the append-only file are on
	Explicit    bool // the replica says that a command told it to come here
	ID          string
	Next        int64    // PSYNC's offset: the byte that the replica wants next
	Own         []string // every replication ID that this process has had, and their second IDs
}

// RefuseFeed keeps the master's half of S2 for a server that nobody manages: one that booted empty and keeps nothing on
// disk does not replace a data set which it has never had. It returns "" or why it refuses.
//
// A replica that never had data asks with "?", or, as redis-server does after REPLICAOF, with its own ID and byte 1: it
// is fed.
func RefuseFeed(r FeedRequest) string {
	switch {
	case !r.Guard, !r.BornEmpty, r.Persistence, r.Explicit:
		return ""
	case r.ID == "?" || r.ID == "" || r.Next <= 1:
		return ""
	}
	for _, id := range r.Own {
		if strings.EqualFold(id, r.ID) {
			return ""
		}
	}
	return fmt.Sprintf("this server booted empty and the replica holds %d bytes of another history (%s)", r.Next-1, r.ID)
}

// Identity is what a replica learns of its master before it asks for data. Zero fields mean that the master did not say.
type Identity struct {
	RunID     string
	Told      bool // INFO was answered
	BornEmpty bool // it loaded no key when it started and keeps no append-only file
	IDs       Line // of its replication
}

// ParseIdentity reads a master's INFO. redis-server before 7.0 does not tell how many keys it loaded; such a master
// counts as one that did not say.
func ParseIdentity(info string) Identity {
	var id Identity
	loaded, aof := int64(-1), false
	for line := range strings.SplitSeq(info, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "run_id":
			id.RunID = value
		case "aof_enabled":
			aof = value == "1"
		case "master_replid":
			id.IDs.ID = value
		case "master_replid2":
			id.IDs.ID2 = value
		case "master_repl_offset":
			id.IDs.Offset = number(value)
		case "second_repl_offset":
			id.IDs.Second = number(value)
		case "rdb_last_load_keys_loaded":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				loaded = n
			}
		}
	}
	id.Told = loaded >= 0
	id.BornEmpty = loaded == 0 && !aof
	return id
}

// and joins what two sections of INFO told.
func (id Identity) and(o Identity) Identity {
	if id.RunID == "" {
		id.RunID = o.RunID
	}
	if o.Told {
		id.Told, id.BornEmpty = true, o.BornEmpty
	}
	if o.IDs.ID != "" {
		id.IDs = o.IDs
	}
	return id
}

// number is 0 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Meeting is what a replica knows when its master offers a full sync.
type Meeting struct {
	Guard    bool
	Explicit bool // a command (or the start with an empty data set) asked for this master
	HasData  bool // there is something to lose
	Own      Place
	LastRun  string // run ID of the master that was followed last, "" when unknown
	Master   Identity
	ID       string // what the master calls its history
}

// KeepData keeps the replica's half of S2: on an automatic reconnect it does not let a master that booted empty replace
// its data by an unrelated history. It returns "" or why the data is kept. A master that would not say whether it booted
// empty is judged by KeepAgainst once its payload is known.
func KeepData(m Meeting) string {
	if !m.atStake() || !m.Master.Told || !m.Master.BornEmpty {
		return ""
	}
	return fmt.Sprintf("the master restarted empty under an unrelated history (%s)", m.ID)
}

// KeepAgainst judges a payload that was received but not swapped in: keys is the number of keys in it.
func KeepAgainst(m Meeting, keys int64) string {
	if !m.atStake() || keys > 0 {
		return ""
	}
	return fmt.Sprintf("the master offers an empty data set under an unrelated history (%s)", m.ID)
}

func (m Meeting) atStake() bool {
	related := m.ID != "" && (strings.EqualFold(m.ID, m.Own.ID) || strings.EqualFold(m.ID, m.Own.ID2))
	sameRun := m.Master.RunID != "" && m.Master.RunID == m.LastRun
	return m.Guard && !m.Explicit && m.HasData && !related && !sameRun
}

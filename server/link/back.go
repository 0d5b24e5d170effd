package link

import "github.com/understudy-db/understudy/server/repl"

// A master that was replaced, and a replica that was promoted for nothing, may have heartbeats in their logs that their next master
// has not. They are no reason for a full sync: the log goes back to where the two part.

// mostIdle bounds what is looked through for effects, in bytes: days of heartbeats.
const mostIdle = 1 << 20

// idleBehind tells whether the log holds nothing but PING and REPLCONF behind an offset between two commands.
func (n *Node) idleBehind(offset int64) bool {
	end := n.log.Offset()
	if offset > end || end-offset > mostIdle {
		return false
	}
	if offset == end {
		return true
	}
	c, err := n.log.Replica(offset)
	if err != nil {
		return false
	}
	defer c.Close()
	var tail []byte
	for {
		parts, err := c.Read(nil, mostIdle)
		if err != nil {
			return false
		}
		if len(parts) == 0 {
			break
		}
		was := len(tail)
		for _, p := range parts {
			tail = append(tail, p...)
		}
		c.Advance(len(tail) - was)
	}
	list, whole := commands(tail)
	for _, words := range list {
		if !isAny(words[0], "PING", "REPLCONF") {
			return false
		}
	}
	return whole == len(tail) && int64(whole) == end-offset
}

// goBack takes the heartbeats behind offset out of the log; this server's own replicas, which have them too, have to ask anew. The
// engine's lock and Node.mu must be held.
func (n *Node) goBack(offset int64) bool {
	if !n.idleBehind(offset) || !n.log.GoBack(offset) {
		return false
	}
	n.back.pos, n.back.offset = n.log.WholePos(), offset
	n.dropPeers()
	n.logf(repl.Notice, "The heartbeats behind offset "+itoa(offset)+" are taken out of this server's stream: its master has none there")
	return true
}

// syncedOffset is how far the append-only file is on disk, -1 without one. What was told of it before the log went back does not
// count behind that place.
func (n *Node) syncedOffset() int64 {
	synced := n.e.FileSynced()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.back.pos > 0 && synced.Pos <= n.back.pos {
		return min(synced.Offset, n.back.offset)
	}
	return synced.Offset
}

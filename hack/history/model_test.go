package history

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A key is a register (r...), a counter (c...) or a list (l...). The state of each is a text, "" at first.

type input struct {
	key   string
	write bool
	value string // of SET and RPUSH
}

type output struct {
	text    string // the reply; a list's elements with a space behind each
	unknown bool   // nobody knows whether it was executed
}

var model = porcupine.Model{
	Init: func() any { return "" },
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			k := op.Input.(input).key
			byKey[k] = append(byKey[k], op)
		}
		for _, p := range byKey {
			parts = append(parts, p)
		}
		return parts
	},
	Step: func(state, in, out any) (bool, any) {
		s, i, o := state.(string), in.(input), out.(output)
		if !i.write {
			return o.text == s, s
		}
		next, reply := apply(s, i)
		return o.unknown || o.text == reply, next
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		if !i.write {
			return "read " + i.key + " = " + o.text
		}
		if o.unknown {
			return "write " + i.key + " " + i.value + " ?"
		}
		return "write " + i.key + " " + i.value + " = " + o.text
	},
}

// apply is what a write does to a state, and its reply.
func apply(s string, i input) (next, reply string) {
	switch i.key[0] {
	case 'c':
		n, _ := strconv.Atoi(s)
		next = strconv.Itoa(n + 1)
		return next, next
	case 'l':
		next = s + i.value + " "
		return next, strconv.Itoa(strings.Count(next, " "))
	}
	return i.value, "OK"
}

// recorder takes what clients did, from several goroutines.
type recorder struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (r *recorder) now() int64 { return int64(time.Since(r.began)) }

func (r *recorder) add(op porcupine.Operation) {
	r.mu.Lock()
	r.ops = append(r.ops, op)
	r.mu.Unlock()
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// never is the return of an operation whose outcome is unknown: it may take effect at any time.
const never = int64(1) << 62

// judge asks the checker, key by key.
func (r *recorder) judge(patience time.Duration) (verdict porcupine.CheckResult, operations, unknown int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range r.ops {
		if op.Output.(output).unknown {
			unknown++
		}
	}
	return porcupine.CheckOperationsTimeout(model, r.ops, patience), len(r.ops), unknown
}

// lost counts the elements of lists whose RPUSH was answered and that the last read does not have, and those of them that were
// lost although a later one of the same client, pushed before the change of the master, was not: S5 keeps a prefix.
func (r *recorder) lost() (acknowledged, lost, torn int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[string]porcupine.Operation{}
	for _, op := range r.ops {
		if i := op.Input.(input); i.key[0] == 'l' && !i.write && op.Call >= last[i.key].Call {
			last[i.key] = op
		}
	}
	runs := map[string]int{} // by client and key: runs of lost elements
	in := map[string]bool{}
	for _, op := range r.ops { // in the order of the replies, for each client
		i, o := op.Input.(input), op.Output.(output)
		if i.key[0] != 'l' || !i.write || o.unknown {
			continue
		}
		acknowledged++
		who := strconv.Itoa(op.ClientId) + " " + i.key
		gone := !strings.Contains(" "+last[i.key].Output.(output).text, " "+i.value+" ")
		if gone {
			lost++
			if !in[who] {
				runs[who]++
			}
		}
		in[who] = gone
	}
	for _, n := range runs {
		torn += n - 1
	}
	return acknowledged, lost, torn
}

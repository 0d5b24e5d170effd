package settings

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// special reads and rewrites a directive whose value has a structure of its own.
type special struct {
	// parse answers the new value; old is the one in force; appendSave is true from the second
	// `save` line of a file on (every line of a file adds points, CONFIG SET replaces them all).
	parse func(words []string, old *value, appendSave bool) (*value, error)
	// lines are the lines CONFIG REWRITE writes; nil: name and the text as it stands.
	lines func(name string, v, def *value) []string
	// always: CONFIG REWRITE writes the line even when the value is the default.
	always bool
}

// SavePoint asks for a snapshot once Seconds have passed since the last one and at least Changes
// writes happened.
type SavePoint struct {
	Seconds int64
	Changes int64
}

var saveValue = special{always: true,
	parse: func(words []string, old *value, appendSave bool) (*value, error) {
		if len(words) == 1 && words[0] == "" {
			words = nil
		}
		if len(words)%2 != 0 {
			return nil, reason("Invalid save parameters")
		}
		var points []SavePoint
		if appendSave && len(words) > 0 {
			points = append(points, old.aux.([]SavePoint)...)
		}
		for i := 0; i < len(words); i += 2 {
			seconds, err := strconv.ParseInt(words[i], 10, 64)
			changes, err2 := strconv.ParseInt(words[i+1], 10, 32)
			if err != nil || err2 != nil || seconds < 1 || changes < 0 {
				return nil, reason("Invalid save parameters")
			}
			points = append(points, SavePoint{seconds, changes})
		}
		var b []string
		for _, p := range points {
			b = append(b, strconv.FormatInt(p.Seconds, 10), strconv.FormatInt(p.Changes, 10))
		}
		return &value{text: strings.Join(b, " "), aux: points}, nil
	},
	lines: func(name string, v, _ *value) []string {
		var out []string
		for _, p := range v.aux.([]SavePoint) {
			out = append(out, name+" "+strconv.FormatInt(p.Seconds, 10)+" "+strconv.FormatInt(p.Changes, 10))
		}
		if out == nil {
			out = []string{name + ` ""`}
		}
		return out
	},
}

func emptyOrText(name string, v, _ *value) []string {
	if v.text == "" {
		return []string{name + ` ""`}
	}
	return []string{name + " " + v.text}
}

// OutputLimit bounds the output buffer of one class of clients; 0 is no limit.
type OutputLimit struct {
	Hard, Soft  uint64 // bytes
	SoftSeconds int64
}

// The classes of client-output-buffer-limit, indexes of OutputLimits.
const (
	ClassNormal = iota
	ClassReplica
	ClassPubSub
)

// OutputLimits holds the limit of each class.
type OutputLimits [3]OutputLimit

var outputClasses = [3]string{"normal", "slave", "pubsub"}

func outputClass(s string) int {
	switch strings.ToLower(s) {
	case "normal":
		return ClassNormal
	case "slave", "replica":
		return ClassReplica
	case "pubsub":
		return ClassPubSub
	}
	return -1
}

var outputLimitValue = special{
	parse: func(words []string, old *value, _ bool) (*value, error) {
		if len(words)%4 != 0 {
			return nil, reason("Wrong number of arguments in buffer limit configuration.")
		}
		var limits OutputLimits
		if old != nil {
			limits = old.aux.(OutputLimits)
		}
		for i := 0; i < len(words); i += 4 {
			class := outputClass(words[i])
			if class < 0 {
				return nil, reason("Invalid client class specified in buffer limit configuration.")
			}
			hard, ok1 := parseMemory(words[i+1])
			soft, ok2 := parseMemory(words[i+2])
			seconds, err := strconv.ParseInt(words[i+3], 10, 64)
			if !ok1 || !ok2 || err != nil || seconds < 0 {
				return nil, reason("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
			}
			limits[class] = OutputLimit{hard, soft, seconds}
		}
		var b []string
		for i, l := range limits {
			b = append(b, outputClasses[i], strconv.FormatUint(l.Hard, 10), strconv.FormatUint(l.Soft, 10), strconv.FormatInt(l.SoftSeconds, 10))
		}
		return &value{text: strings.Join(b, " "), aux: limits}, nil
	},
	lines: func(name string, v, def *value) []string {
		var out []string
		for i, l := range v.aux.(OutputLimits) {
			if l == def.aux.(OutputLimits)[i] {
				continue
			}
			class := outputClasses[i]
			if i == ClassReplica {
				class = "replica"
			}
			out = append(out, strings.Join([]string{name, class, formatMemory(l.Hard), formatMemory(l.Soft), strconv.FormatInt(l.SoftSeconds, 10)}, " "))
		}
		return out
	},
}

// Classes of keyspace events, the letters of notify-keyspace-events.
const (
	NotifyKeyspace = 1 << iota // K
	NotifyKeyevent             // E
	NotifyGeneric              // g
	NotifyString               // $
	NotifyList                 // l
	NotifySet                  // s
	NotifyHash                 // h
	NotifyZset                 // z
	NotifyExpired              // x
	NotifyEvicted              // e
	NotifyStream               // t
	NotifyKeyMiss              // m
	NotifyModule               // d
	NotifyNew                  // n

	// NotifyAll is what the letter A stands for.
	NotifyAll = NotifyGeneric | NotifyString | NotifyList | NotifySet | NotifyHash | NotifyZset |
		NotifyExpired | NotifyEvicted | NotifyStream | NotifyModule
)

// The order in which CONFIG GET lists the letters.
var notifyLetters = []struct {
	letter byte
	bit    int64
}{{'g', NotifyGeneric}, {'$', NotifyString}, {'l', NotifyList}, {'s', NotifySet}, {'h', NotifyHash}, {'z', NotifyZset},
	{'x', NotifyExpired}, {'e', NotifyEvicted}, {'t', NotifyStream}, {'d', NotifyModule}, {'n', NotifyNew},
	{'K', NotifyKeyspace}, {'E', NotifyKeyevent}, {'m', NotifyKeyMiss}}

var notifyValue = special{
	parse: func(words []string, _ *value, _ bool) (*value, error) {
		if len(words) != 1 {
			return nil, errArgs
		}
		var bits int64
		for i := range len(words[0]) {
			bit := notifyBit(words[0][i])
			if bit == 0 {
				return nil, reason("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
			}
			bits |= bit
		}
		return &value{num: bits, text: notifyText(bits)}, nil
	},
	lines: func(name string, v, _ *value) []string { return []string{name + " " + quote(v.text)} },
}

func notifyBit(c byte) int64 {
	if c == 'A' {
		return NotifyAll
	}
	for _, l := range notifyLetters {
		if l.letter == c {
			return l.bit
		}
	}
	return 0
}

func notifyText(bits int64) string {
	var b []byte
	all := bits&NotifyAll == NotifyAll
	if all {
		b = append(b, 'A')
	}
	for _, l := range notifyLetters {
		// n belongs to neither A nor the letters beside it: it is listed only when A is not.
		if bits&l.bit != 0 && !(all && (l.bit&NotifyAll != 0 || l.bit == NotifyNew)) {
			b = append(b, l.letter)
		}
	}
	return string(b)
}

const maxBindAddresses = 16

var bindValue = special{
	parse: func(words []string, _ *value, _ bool) (*value, error) {
		if len(words) > maxBindAddresses {
			return nil, reason("Too many bind addresses specified.")
		}
		if len(words) == 1 && words[0] == "" {
			words = nil
		}
		return &value{text: strings.Join(words, " "), aux: append([]string(nil), words...)}, nil
	},
	lines: emptyOrText,
}

// Upstream is the value of replicaof.
type Upstream struct {
	Host string
	Port int
}

var replicaOfValue = special{
	parse: func(words []string, _ *value, _ bool) (*value, error) {
		if len(words) != 2 {
			return nil, errArgs
		}
		if strings.EqualFold(words[0], "no") && strings.EqualFold(words[1], "one") {
			return &value{}, nil
		}
		port, err := strconv.Atoi(words[1])
		if err != nil || port < 0 || port > 65535 {
			return nil, reason("Invalid master port")
		}
		return &value{text: words[0] + " " + strconv.Itoa(port), aux: Upstream{words[0], port}}, nil
	},
}

// dirValue keeps the directory absolute: the process never changes its own, so that several servers
// can live in one process.
var dirValue = special{always: true,
	parse: func(words []string, old *value, _ bool) (*value, error) {
		if len(words) != 1 {
			return nil, errArgs
		}
		dir := words[0]
		if !filepath.IsAbs(dir) && old != nil {
			dir = filepath.Join(old.text, dir)
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		if err != nil {
			return nil, reason(SystemText(err))
		}
		return &value{text: dir}, nil
	},
	lines: func(name string, v, _ *value) []string { return []string{name + " " + quote(v.text)} },
}

// SystemText words an error as the C library does.
func SystemText(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	case errors.Is(err, syscall.ENOTDIR):
		return "Not a directory"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

var oomScoreValue = special{
	parse: func(words []string, _ *value, _ bool) (*value, error) {
		if len(words) != 3 {
			return nil, errArgs
		}
		var scores [3]int
		for i, w := range words {
			n, err := strconv.Atoi(w)
			if err != nil || n < -2000 || n > 2000 {
				return nil, reason("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
			}
			scores[i] = n
		}
		return &value{text: strings.Join(words, " "), aux: scores}, nil
	},
}

var percentilesValue = special{
	parse: func(words []string, _ *value, _ bool) (*value, error) {
		if len(words) == 1 && words[0] == "" {
			words = nil
		}
		list := make([]float64, 0, len(words))
		texts := make([]string, 0, len(words))
		for _, w := range words {
			p, err := strconv.ParseFloat(w, 64)
			if err != nil || math.IsNaN(p) {
				return nil, reason("Invalid latency-tracking-info-percentiles parameters")
			}
			if p > 100 || p < 0 {
				return nil, reason("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
			}
			list = append(list, p)
			texts = append(texts, trimZeros(strconv.FormatFloat(p, 'f', 6, 64)))
		}
		return &value{text: strings.Join(texts, " "), aux: list}, nil
	},
	lines: emptyOrText, always: true,
}

func trimZeros(s string) string {
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

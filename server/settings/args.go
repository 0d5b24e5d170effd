package settings

import "strings"

// Invocation is what a command line asks for.
type Invocation struct {
	File    string // configuration file, "" for none
	Stdin   bool   // "-": read further directives from standard input
	Options string // the flags as lines of a configuration file
}

// ParseArgs reads the arguments behind the program's name as redis-server does:
//
//	[file] [-] [--directive value ...]...
//
// A flag's words become one line; "--port 6380" may be one argument. `--save` directly before another
// flag or at the end means `save ""`; a directive that may stand bare (`--managed`) then means yes.
// `--config FILE` names the file as the first argument does, and `--data-dir` is `--dir`: containers
// keep all of their arguments in one form.
func ParseArgs(args []string) Invocation {
	var inv Invocation
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		inv.File = args[0]
		args = args[1:]
	}
	args = takeConfig(&inv, args)
	var lines []string
	expectValue := false // the last argument was a lone flag: what follows is its value, even "--x"
	for i, arg := range args {
		switch {
		case arg == "-" && i == len(args)-1:
			inv.Stdin = true
		case !expectValue && strings.HasPrefix(arg, "--"):
			line := arg[2:]
			if line == "data-dir" {
				line = "dir"
			}
			words, _ := splitWords(line)
			expectValue = len(words) == 1
			if expectValue && standsBare(words[0]) && (i == len(args)-1 || strings.HasPrefix(args[i+1], "--")) {
				line += " " + bareValue(words[0])
				expectValue = false
			}
			lines = append(lines, line)
		default:
			expectValue = false
			if len(lines) == 0 {
				lines = append(lines, quote(arg))
				continue
			}
			lines[len(lines)-1] += " " + quote(arg)
		}
	}
	inv.Options = strings.Join(lines, "\n")
	return inv
}

func standsBare(name string) bool {
	d := Lookup(name)
	return d != nil && (d.index == saveIndex || d.flags&flagBareYes != 0)
}

func bareValue(name string) string {
	if Lookup(name).index == saveIndex {
		return `""`
	}
	return "yes"
}

// takeConfig removes `--config FILE` from the arguments.
func takeConfig(inv *Invocation, args []string) []string {
	for i := 0; i+1 < len(args); i++ {
		if args[i] == "--config" {
			inv.File = args[i+1]
			return append(append([]string(nil), args[:i]...), args[i+2:]...)
		}
	}
	return args
}

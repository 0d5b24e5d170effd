package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Error says where in which file a directive is wrong.
type Error struct {
	Source string // path of the file, "standard input" or "command line"
	Line   int    // counted as Redis does: flags follow the last line of the file
	Text   string // the line
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s, line %d: '%s': %s", e.Source, e.Line, e.Text, e.Reason)
}

// Fatal is what is printed to standard error before the server gives up, in the form of redis-server
// with one line more that names the file.
func (e *Error) Fatal(version string) string {
	return fmt.Sprintf("\n*** FATAL CONFIG FILE ERROR (Redis %s) ***\nReading the configuration file, at line %d\n>>> '%s'\n%s\n(in %s)\n",
		version, e.Line, e.Text, e.Reason, e.Source)
}

const maxIncludeDepth = 16

// accepted are directives of older versions that are read and ignored, with their number of words.
var accepted = map[string]int{"list-max-ziplist-entries": 2, "list-max-ziplist-value": 2, "lua-replicate-commands": 2}

// Load reads what the command line asked for: the file, then standard input, then the flags; a later
// line overrides an earlier one. It is called once, before anything reads the settings.
func (s *Settings) Load(inv Invocation, stdin io.Reader) error {
	lines := 0
	if inv.File != "" {
		path, err := filepath.Abs(inv.File)
		if err != nil {
			return err
		}
		data, err := readFile(path)
		if err != nil {
			return err
		}
		s.file = path
		if err := s.loadText(path, string(data), 0, 0); err != nil {
			return err
		}
		lines += strings.Count(string(data), "\n")
	}
	if inv.Stdin {
		data, err := io.ReadAll(stdin)
		if err != nil {
			return fmt.Errorf("reading the configuration from standard input: %w", err)
		}
		if err := s.loadText("standard input", string(data), lines, 0); err != nil {
			return err
		}
		lines += strings.Count(string(data), "\n")
	}
	return s.loadText("command line", inv.Options, lines+1, 0)
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("Fatal error, can't open config file '%s': %s", path, SystemText(err)) //nolint:staticcheck // Redis' text
	}
	return data, nil
}

// LoadText reads directives from a text; source names it in errors.
func (s *Settings) LoadText(source, text string) error { return s.loadText(source, text, 0, 0) }

func (s *Settings) loadText(source, text string, firstLine, depth int) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		err := s.loadLine(line, depth)
		if n := len(s.users); n > 0 && s.users[n-1].Source == "" {
			s.users[n-1].Source, s.users[n-1].Line = source, firstLine+i+1
		}
		if err == nil {
			continue
		}
		var inner *Error
		if errors.As(err, &inner) || !isReason(err) {
			return err // an included file named its own place
		}
		return &Error{Source: source, Line: firstLine + i + 1, Text: line, Reason: err.Error()}
	}
	return nil
}

func (s *Settings) loadLine(line string, depth int) error {
	if strings.IndexByte(line, 0) >= 0 {
		return reason("The line has a zero byte: this is no text")
	}
	words, ok := splitWords(line)
	if !ok {
		return reason("Unbalanced quotes in configuration line")
	}
	if len(words) == 0 {
		return nil
	}
	name := strings.ToLower(words[0])
	d := Lookup(name)
	if d == nil {
		return s.loadCommandLine(line, words, depth)
	}
	if d.flags&flagMultiArg == 0 && len(words) != 2 {
		return errArgs
	}
	values := words[1:]
	if d.flags&flagMultiArg != 0 && len(values) == 1 {
		values = strings.Split(values[0], " ") // quoted as one, as a flag's value is
	}
	v, err := d.parse(values, s.slots[d.index].Load(), s.saved)
	if err != nil {
		return err
	}
	s.slots[d.index].Store(v)
	s.saved = s.saved || d.index == saveIndex
	return nil
}

// loadCommandLine handles the lines that are no directives with a value.
func (s *Settings) loadCommandLine(line string, words []string, depth int) error {
	name := strings.ToLower(words[0])
	switch {
	case accepted[name] == len(words):
		return nil
	case name == "include" && len(words) == 2:
		return s.include(words[1], depth+1)
	case name == "rename-command" && len(words) == 3:
		s.renames = append(s.renames, Rename{words[1], words[2]})
		return nil
	case name == "user" && len(words) >= 2:
		s.users = append(s.users, UserLine{Text: line, Words: words[1:]})
		return nil
	case name == "loadmodule" && len(words) >= 2:
		return reason(notModules)
	}
	return reason("Bad directive or wrong number of arguments")
}

// include reads a file, or every file that a pattern matches (none is no error: an empty conf.d).
func (s *Settings) include(pattern string, depth int) error {
	if depth > maxIncludeDepth {
		return reason(fmt.Sprintf("include nests deeper than %d files", maxIncludeDepth))
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(s.Dir(), pattern)
	}
	paths := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if paths, err = filepath.Glob(pattern); err != nil {
			return reason("include: " + err.Error())
		}
	}
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			return err
		}
		if err := s.loadText(path, string(data), 0, depth); err != nil {
			return err
		}
	}
	return nil
}

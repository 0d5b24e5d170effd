package main

import (
	"fmt"
	"os"
	"strings"
)

// skip is a test that is not run, and why.
type skip struct{ file, name, reason string }

// concerns tells whether the skip holds for a file; what holds without TLS holds with it.
func (s skip) concerns(file string) bool {
	return s.file == file || s.file+withTLS == file || s.file == "*"
}

// tagPrefix begins the name of a skip that stands for all servers (and their tests) with a tag.
const tagPrefix = "tag:"

// readSkips reads lines of three columns separated by tabs: file, test (a name, /regexp, or tag:name), reason. "#" starts a
// comment line. A line without a reason is refused.
func readSkips(path string) ([]skip, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []skip
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) != 3 || strings.TrimSpace(columns[2]) == "" {
			return nil, fmt.Errorf("%s:%d: want file, test and reason, separated by tabs", path, n)
		}
		list = append(list, skip{columns[0], columns[1], columns[2]})
	}
	return list, nil
}

// namesFor lists the tests to skip in one file. The suite takes an empty name for a match of everything, so an empty
// list becomes a name that no test has.
func namesFor(skips []skip, file string) []string {
	names := []string{}
	for _, s := range skips {
		if s.concerns(file) && !strings.HasPrefix(s.name, tagPrefix) {
			names = append(names, s.name)
		}
	}
	if len(names) == 0 {
		names = append(names, "no test has this name")
	}
	return names
}

// tagsFor lists the tags to leave out in one file as the suite takes them: each with a minus sign.
func tagsFor(skips []skip, file string) string {
	var tags []string
	for _, s := range skips {
		if tag, ok := strings.CutPrefix(s.name, tagPrefix); ok && s.concerns(file) {
			tags = append(tags, "-"+tag)
		}
	}
	return strings.Join(tags, " ")
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetch returns the suite's archive, from the cache when it is there.
func fetch(cache string) (string, error) {
	pattern := filepath.Join(cache, "redis_*.orig.tar.gz")
	if found, _ := filepath.Glob(pattern); len(found) > 0 {
		return found[len(found)-1], nil
	}
	if err := download(cache); err != nil {
		return "", err
	}
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return "", errors.New("apt brought no redis_*.orig.tar.gz: look into " + cache)
	}
	return found[len(found)-1], nil
}

// download fetches the source package with apt directories below the cache.
func download(cache string) error {
	lists := filepath.Join(cache, "apt", "lists", "partial")
	archives := filepath.Join(cache, "apt", "cache", "archives", "partial")
	for _, dir := range []string{lists, archives} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	sources, err := sourceLines("/etc/apt", "/etc/os-release")
	if err != nil {
		return err
	}
	list := filepath.Join(cache, "apt", "sources.list")
	if err := os.WriteFile(list, []byte(strings.Join(sources, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	options := []string{"-q", "-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Dir(lists), "-o", "Dir::Cache=" + filepath.Dir(filepath.Dir(archives))}
	if err := run(cache, "apt-get", append(options, "update")...); err != nil {
		return err
	}
	return run(cache, "apt-get", append(options, "source", "--download-only", "redis")...)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// archive is one place that the machine's apt knows.
type archive struct {
	uri, signedBy string
	suites        []string
}

// sourceLines turns the machine's binary archives of its own release into lines for source packages.
func sourceLines(etc, osRelease string) ([]string, error) {
	text, err := os.ReadFile(osRelease)
	if err != nil {
		return nil, err
	}
	release := ""
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			release = strings.Trim(v, `"`)
		}
	}
	var lines []string
	for _, a := range archives(etc) {
		for _, suite := range a.suites {
			if release == "" || !strings.HasPrefix(suite, release) {
				continue
			}
			options := ""
			if a.signedBy != "" {
				options = "[signed-by=" + a.signedBy + "] "
			}
			lines = append(lines, "deb-src "+options+a.uri+" "+suite+" main")
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("no archive of this machine's release %q is known to apt: the suite comes from Debian's source package redis", release)
	}
	return lines, nil
}

// archives reads both forms of apt's source lists.
func archives(etc string) []archive {
	var found []archive
	classic, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", "*.list"))
	for _, path := range append(classic, filepath.Join(etc, "sources.list")) {
		found = append(found, classicList(path)...)
	}
	modern, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", "*.sources"))
	for _, path := range modern {
		found = append(found, deb822(path)...)
	}
	return found
}

// classicList reads "deb [signed-by=key] uri suite component...".
func classicList(path string) (found []archive) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "deb" {
			continue
		}
		a := archive{}
		i := 1
		for ; strings.HasPrefix(fields[1], "[") && i < len(fields); i++ {
			word := strings.Trim(fields[i], "[]")
			if key, ok := strings.CutPrefix(word, "signed-by="); ok {
				a.signedBy = key
			}
			if strings.HasSuffix(fields[i], "]") {
				i++
				break
			}
		}
		if i+1 < len(fields) {
			a.uri, a.suites = fields[i], fields[i+1:i+2]
			found = append(found, a)
		}
	}
	return found
}

// deb822 reads stanzas of "Types:", "URIs:", "Suites:", "Signed-By:".
func deb822(path string) (found []archive) {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	stanza := map[string]string{}
	flush := func() {
		if strings.Contains(stanza["Types"], "deb") && stanza["URIs"] != "" {
			for _, uri := range strings.Fields(stanza["URIs"]) {
				found = append(found, archive{uri: uri, signedBy: stanza["Signed-By"], suites: strings.Fields(stanza["Suites"])})
			}
		}
		stanza = map[string]string{}
	}
	for scan := bufio.NewScanner(file); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" {
			flush()
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			stanza[name] = strings.TrimSpace(value)
		}
	}
	flush()
	return found
}

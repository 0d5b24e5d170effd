// Package builds compiles Go programs into a cache folder, once per content: the key covers the module's files, the Go
// release and the flags, so an unchanged program costs nothing the second time.
package builds

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Program is one main package in a module of its own.
type Program struct {
	Name    string // file name of the binary
	Dir     string // folder of the module
	LDFlags string
}

// Cache is the folder that holds built programs, one sub-folder per key.
type Cache struct {
	Dir string
	// Progress is told about a build that takes long, every few seconds; may be nil.
	Progress func(message string)
}

// DefaultDir is ${XDG_CACHE_HOME:-~/.cache}/understudy.
func DefaultDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: set XDG_CACHE_HOME or HOME: %w", err)
	}
	return filepath.Join(dir, "understudy"), nil
}

// Build returns the folder that holds the program, building it first if the cache lacks it. Two builds of one key at
// the same time wait for each other.
func (c Cache) Build(ctx context.Context, p Program) (string, error) {
	key, err := p.key()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Dir, p.Name+"-"+key)
	binary := filepath.Join(dir, p.Name)
	if exists(binary) {
		return dir, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(c.Dir, p.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(binary) {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	temp := binary + ".new"
	if err := c.compile(ctx, p, temp, filepath.Join(c.Dir, p.Name+".log")); err != nil {
		return "", err
	}
	return dir, os.Rename(temp, binary)
}

// Cached tells whether Build would have nothing to do.
func (c Cache) Cached(p Program) bool {
	key, err := p.key()
	return err == nil && exists(filepath.Join(c.Dir, p.Name+"-"+key, p.Name))
}

func (c Cache) compile(ctx context.Context, p Program, out, log string) error {
	cmd := exec.CommandContext(ctx, "go", p.args(out)...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot build %s: %w: install Go %s or later", p.Name, err, strings.TrimPrefix(runtime.Version(), "go"))
	}
	tail, compiled := c.follow(p.Name, stderr)
	err = cmd.Wait()
	_ = os.WriteFile(log, tail, 0o644)
	if err != nil {
		last := tail[max(0, len(tail)-2000):]
		return fmt.Errorf("cannot build %s after %d packages: %w: the whole log is %s:\n%s", p.Name, compiled, err, log, last)
	}
	return nil
}

// follow counts the packages that go build -v names, and tells about them now and then.
func (c Cache) follow(name string, r io.Reader) (log []byte, compiled int) {
	start, told := time.Now(), time.Now()
	var all bytes.Buffer
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		all.Write(append(lines.Bytes(), '\n'))
		compiled++
		if c.Progress != nil && time.Since(told) > 15*time.Second {
			told = time.Now()
			c.Progress(fmt.Sprintf("building %s: %d packages, %d s", name, compiled, int(time.Since(start).Seconds())))
		}
	}
	return all.Bytes(), compiled
}

func (p Program) args(out string) []string {
	return []string{"build", "-v", "-trimpath", "-ldflags", p.LDFlags, "-o", out, "."}
}

// key names everything that the binary depends on.
func (p Program) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, p.args(""))
	var files []string
	err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if !d.IsDir() && !strings.HasSuffix(name, "_test.go") && (filepath.Ext(name) == ".go" || name == "go.mod" || name == "go.sum") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("no Go module in %s", p.Dir)
	}
	slices.Sort(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		rel, _ := filepath.Rel(p.Dir, f)
		fmt.Fprintf(h, "%s %d\n", rel, len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// Links makes symbolic links to the program beside it, for a program that looks at its own name.
func Links(dir, program string, names ...string) error {
	for _, name := range names {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

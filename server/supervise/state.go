package supervise

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-db/understudy/api/member"
)

const (
	startsFile = "starts"
	deathsFile = "deaths"
	httpSocket = "http.sock"
	// keptDeaths is how many proofs are told again; an operator that missed more has met a newer incarnation since.
	keptDeaths = 8
)

// nextIncarnation counts a process start, durably, before the process exists: a count that went back would make an old
// incarnation look newer than a living one.
func nextIncarnation(dir string) (member.Incarnation, error) {
	path := filepath.Join(dir, startsFile)
	var last uint64
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		if last, err = strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err != nil {
			return "", fmt.Errorf("%s is damaged: %w; delete the pod, so that its next incarnation is another voter", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err := writeDurably(path, []byte(strconv.FormatUint(last+1, 10))); err != nil {
		return "", err
	}
	var nonce [8]byte
	rand.Read(nonce[:])
	return member.NewIncarnation(last+1, binary.BigEndian.Uint64(nonce[:])), nil
}

// writeDurably replaces path in one step; the file and its folder are on disk when it returns.
func writeDurably(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func saveDeaths(dir string, deaths []member.Death) error {
	raw, err := json.Marshal(deaths)
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dir, deathsFile), raw)
}

func loadDeaths(dir string) ([]member.Death, error) {
	raw, err := os.ReadFile(filepath.Join(dir, deathsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var deaths []member.Death
	if err := json.Unmarshal(raw, &deaths); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, deathsFile), err)
	}
	return deaths, nil
}

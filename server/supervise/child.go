package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/understudy-db/understudy/api/member"
)

const (
	envIncarnation = "UNDERSTUDY_INCARNATION"
	envStateDir    = "UNDERSTUDY_STATE_DIR"
	fdListener     = 3
	fdReady        = 4
)

// Child is what a supervised process gets from its parent.
type Child struct {
	Incarnation member.Incarnation
	// Management is the listener to accept operators and peers on.
	Management net.Listener
	// HTTPSocket is the path of the unix socket where /readyz and /metrics are to be served.
	HTTPSocket string
	// Deaths are proofs about earlier processes of this pod, to be told after every Hello of a leader.
	Deaths []member.Death

	ready *os.File
}

// Supervised tells whether this process was started by a supervisor.
func Supervised() bool { return os.Getenv(envIncarnation) != "" }

// FromEnvironment returns what the parent has left; ok is false in a process that has no supervisor. It may be called
// once.
func FromEnvironment() (child *Child, ok bool, err error) {
	inc := os.Getenv(envIncarnation)
	if inc == "" {
		return nil, false, nil
	}
	dir := os.Getenv(envStateDir)
	os.Unsetenv(envIncarnation) // not for grandchildren
	os.Unsetenv(envStateDir)
	file := os.NewFile(fdListener, "management")
	ready := os.NewFile(fdReady, "ready")
	if file == nil || ready == nil {
		return nil, true, errors.New("supervised start: descriptors 3 and 4 are missing")
	}
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, true, fmt.Errorf("supervised start: descriptor 3: %w", err)
	}
	deaths, err := loadDeaths(dir)
	if err != nil {
		return nil, true, err
	}
	return &Child{Incarnation: member.Incarnation(inc), Management: ln, HTTPSocket: filepath.Join(dir, httpSocket), Deaths: deaths, ready: ready}, true, nil
}

// Ready tells the parent that the child accepts on Management now.
func (c *Child) Ready() error {
	if c.ready == nil {
		return nil
	}
	_, err := c.ready.Write([]byte{1})
	c.ready.Close()
	c.ready = nil
	return err
}

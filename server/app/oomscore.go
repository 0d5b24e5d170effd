package app

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/understudy-db/understudy/server/settings"
)

// oomScore keeps the kernel's mark of this process, by which it chooses whom to kill when memory runs out, where
// oom-score-adj and the role put it. The third of oom-score-adj-values, for children, has no effect: there are none.
type oomScore struct {
	cfg  *settings.Settings
	path string

	mu      sync.Mutex
	replica bool
	on      bool
	base    int // what stood there before the first change: where relative values count from, restored by `no`
}

func newOOMScore(cfg *settings.Settings) *oomScore {
	return &oomScore{cfg: cfg, path: "/proc/self/oom_score_adj"}
}

// setRole follows the role.
func (o *oomScore) setRole(replica bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replica = replica
	return o.apply()
}

// follow applies the directives.
func (o *oomScore) follow() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.apply()
}

func (o *oomScore) apply() error {
	mode := o.cfg.Enum(settings.OOMScoreAdj)
	if mode == settings.OOMScoreNo {
		if !o.on {
			return nil
		}
		o.on = false
		return o.write(o.base)
	}
	if !o.on {
		text, err := os.ReadFile(o.path)
		if err != nil {
			return err
		}
		if o.base, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return err
		}
		o.on = true
	}
	score := o.cfg.OOMScores()[0]
	if o.replica {
		score = o.cfg.OOMScores()[1]
	}
	if mode == settings.OOMScoreRelative {
		score += o.base
	}
	return o.write(score)
}

func (o *oomScore) write(score int) error {
	return os.WriteFile(o.path, []byte(strconv.Itoa(min(max(score, -1000), 1000))), 0o644)
}

// changeOOMScore is CONFIG SET of the directives.
func (a *App) changeOOMScore() error {
	if err := a.oom.follow(); err != nil {
		a.logger.Warningf("Unable to write oom_score_adj: %v", err)
		return errors.New("Failed to set current oom_score_adj. Check server logs.") //nolint:staticcheck // Redis' text
	}
	return nil
}

// roleChanged is told by the links.
func (a *App) roleChanged(replica bool) {
	a.logger.SetReplica(replica)
	if err := a.oom.setRole(replica); err != nil {
		a.logger.Warningf("Unable to write oom_score_adj: %v", err)
	}
}

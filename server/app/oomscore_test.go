package app

import (
	"path/filepath"
	"testing"

	"github.com/understudy-db/understudy/server/settings"
)

// TestOOMScoreThatCannotBeWritten wants the change refused and the value in force kept.
func TestOOMScoreThatCannotBeWritten(t *testing.T) {
	cfg := settings.New()
	a := &App{Settings: cfg, logger: NewLogger("", settings.LogWarning, t.Output()), oom: newOOMScore(cfg)}
	a.oom.path = filepath.Join(t.TempDir(), "none", "oom_score_adj")
	cfg.OnChange(a.changeOOMScore, "oom-score-adj", "oom-score-adj-values")
	err := cfg.Set(settings.SetContext{}, settings.Pair{Name: "oom-score-adj", Value: "yes"})
	if err == nil || err.Error() != "CONFIG SET failed (possibly related to argument 'oom-score-adj') - Failed to set current oom_score_adj. Check server logs." {
		t.Errorf("answered %v", err)
	}
	if got := cfg.Value("oom-score-adj"); got != "no" {
		t.Errorf("oom-score-adj is %q now", got)
	}
}

package main

import (
	"strings"
	"testing"
)

func TestRatioIsTheMedianOfPairs(t *testing.T) {
	r := row{ours: []float64{1, 20, 3}, redis: []float64{2, 10, 3}}
	if got := r.ratio(); got != 1 {
		t.Errorf("ratio %v, want 1 (pairs 0.5, 2, 1)", got)
	}
}

func TestVerdictNamesWhatMissed(t *testing.T) {
	tab := &table{limit: "floor"}
	tab.row(row{name: "slow", floor: 1}).add(true, 3)
	tab.row(row{name: "slow"}).add(false, 2)
	tab.row(row{name: "fast", floor: 1, more: true}).add(true, 3)
	tab.row(row{name: "fast"}).add(false, 2)
	err := tab.verdict()
	if err == nil || !strings.Contains(err.Error(), "slow") || strings.Contains(err.Error(), "fast") {
		t.Errorf("verdict %v, want slow alone", err)
	}
	if md := tab.markdown(); !strings.Contains(md, "| slow |") || !strings.Contains(md, "<= 1 MISSED") || !strings.Contains(md, ">= 1 met") {
		t.Errorf("table:\n%s", md)
	}
}

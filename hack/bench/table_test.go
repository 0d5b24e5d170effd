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

func TestSheetMarksWhatMissed(t *testing.T) {
	tab := &table{limit: "budget"}
	for _, name := range []string{"get", "set"} {
		tab.row(row{sheet: "tests", name: name, column: "CPU", unit: "us", budget: 0.9}).add(true, 2)
		tab.row(row{sheet: "tests", name: name, column: "rate", unit: "1/s", budget: 1.2, more: true}).add(true, 110)
	}
	tab.row(row{sheet: "tests", name: "get", column: "CPU"}).add(false, 4)
	tab.row(row{sheet: "tests", name: "set", column: "CPU"}).add(false, 2)
	tab.row(row{sheet: "tests", name: "get", column: "rate"}).add(false, 100)
	tab.row(row{sheet: "tests", name: "set", column: "rate"}).add(false, 55)
	want := `
| tests | CPU, us, <= 0.9 | rate, 1/s, >= 1.2 |
|---|---|---|
| get | 0.50 (2) | **1.10** (110) |
| set | **1.00** (2) | 2.00 (110) |
`
	if got := tab.markdown(); got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
	if err := tab.verdict(); err == nil || !strings.Contains(err.Error(), "get rate") || !strings.Contains(err.Error(), "set CPU") || strings.Contains(err.Error(), "get CPU") {
		t.Errorf("verdict %v, want get rate and set CPU", err)
	}
}

func TestSheetTellsWhenTheClientIsTheLimit(t *testing.T) {
	tab := &table{}
	for name, busy := range map[string][2]float64{"busy": {97, 80}, "idle": {80, 70}, "short": {90, 89}, "shorter": {97, 90}} {
		client := tab.row(row{sheet: "tests", name: name, column: "client", unit: "%", apart: true})
		client.add(true, busy[0])
		client.add(false, busy[1])
		r := tab.row(row{sheet: "tests", name: name, column: "rate", unit: "1/s", budget: 1.2, more: true, client: client})
		r.add(true, 110)
		r.add(false, 100)
	}
	got := tab.markdown()
	for _, want := range []string{"| busy | 97 / 80 | **1.10** (110), client-bound (97 %) |", "| idle | 80 / 70 | **1.10** (110) |",
		"| short | 90 / 89 | **1.10** (110), client-bound: at most 1.12 |", "| shorter | 97 / 90 | **1.10** (110), client-bound: at most 1.11 |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

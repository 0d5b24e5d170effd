package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// row is one figure of both servers over the rounds. Lower is better unless more is set.
type row struct {
	name, unit    string
	sheet, column string // when set the row is a cell of a table of its own
	ours, redis   []float64
	floor, budget float64 // limits of the ratio ours/redis; 0 means none
	more          bool    // higher is better
	absolute      bool    // the limit is on our own figure, not on the ratio
	apart         bool    // the cell shows both figures and no ratio
	client        *row    // of a rate: what the load generator's thread used meanwhile, in percent of a processor
}

// clientBusy is from where on the load generator's thread is what bounds a rate: it hardly ever waited.
const clientBusy = 95

// table collects the rows of all cases.
type table struct {
	limit string
	rows  []*row
}

func (t *table) row(r row) *row {
	for _, have := range t.rows {
		if have.sheet == r.sheet && have.name == r.name && have.column == r.column {
			return have
		}
	}
	t.rows = append(t.rows, &r)
	return &r
}

func (r *row) add(ours bool, v float64) {
	if ours {
		r.ours = append(r.ours, v)
	} else {
		r.redis = append(r.redis, v)
	}
}

// ratio is the median of the ratios of the rounds.
func (r *row) ratio() float64 {
	if r.absolute {
		return median(r.ours)
	}
	var rs []float64
	for i := range min(len(r.ours), len(r.redis)) {
		if r.redis[i] != 0 {
			rs = append(rs, r.ours[i]/r.redis[i])
		}
	}
	return median(rs)
}

func (r *row) within(limit float64) bool {
	if limit == 0 {
		return true
	}
	if r.more {
		return r.ratio() >= limit
	}
	return r.ratio() <= limit
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func (t *table) markdown() string {
	var b strings.Builder
	for i, r := range t.rows {
		switch {
		case r.sheet != "" && (i == 0 || t.rows[i-1].sheet != r.sheet):
			b.WriteString(t.matrix(r.sheet))
		case r.sheet == "":
			if i == 0 || t.rows[i-1].sheet != "" {
				b.WriteString("\n| what | unit | ours | redis-server | ours/redis | floor | budget |\n|---|---|---|---|---|---|---|\n")
			}
			b.WriteString(r.line())
		}
	}
	return b.String()
}

func (r *row) line() string {
	return fmt.Sprintf("| %s | %s | %.4g | %.4g | %s | %s | %s |\n", r.name, r.unit, median(r.ours), median(r.redis),
		figure(r), bound(r.sign(), r.floor, r.within(r.floor)), bound(r.sign(), r.budget, r.within(r.budget)))
}

func (r *row) sign() string {
	if r.more {
		return ">="
	}
	return "<="
}

// matrix is a table of ratios, with our own figures in parentheses; a ratio that misses its budget is bold, and a rate that
// misses it because the load generator could do no more says so.
func (t *table) matrix(sheet string) string {
	var b strings.Builder
	var columns, names []string
	cells := map[[2]string]*row{}
	for _, r := range t.rows {
		if r.sheet != sheet {
			continue
		}
		cells[[2]string{r.name, r.column}] = r
		if !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
		if !slices.Contains(columns, r.column) {
			columns = append(columns, r.column)
		}
	}
	fmt.Fprintf(&b, "\n| %s |", sheet)
	for _, c := range columns {
		b.WriteString(" " + cells[[2]string{names[0], c}].heading() + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| %s |", name)
		for _, c := range columns {
			b.WriteString(" " + cells[[2]string{name, c}].cell() + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (r *row) heading() string {
	if r.budget == 0 {
		return fmt.Sprintf("%s, %s", r.column, r.unit)
	}
	return fmt.Sprintf("%s, %s, %s %.4g", r.column, r.unit, r.sign(), r.budget)
}

func (r *row) cell() string {
	if r == nil {
		return "-"
	}
	if r.apart {
		return fmt.Sprintf("%.0f / %.0f", median(r.ours), median(r.redis))
	}
	if r.within(r.budget) {
		return fmt.Sprintf("%.2f (%.4g)", r.ratio(), median(r.ours))
	}
	return fmt.Sprintf("**%.2f** (%.4g)%s", r.ratio(), median(r.ours), r.excuse())
}

// excuse tells when a rate misses its budget because the load generator can do no more. Its thread takes as long for a request
// whichever server answers: when it used a share of one processor with redis-server, no server makes it faster than the inverse.
func (r *row) excuse() string {
	if r.client == nil {
		return ""
	}
	ours, redis := median(r.client.ours), median(r.client.redis)
	switch {
	case redis > 0 && 100/redis < r.budget:
		return fmt.Sprintf(", client-bound: at most %.2f", 100/redis)
	case ours >= clientBusy:
		return fmt.Sprintf(", client-bound (%.0f %%)", ours)
	}
	return ""
}

func figure(r *row) string {
	if r.absolute {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.ratio())
}

func bound(sign string, limit float64, ok bool) string {
	if limit == 0 {
		return "-"
	}
	mark := "met"
	if !ok {
		mark = "MISSED"
	}
	return fmt.Sprintf("%s %.4g %s", sign, limit, mark)
}

// verdict is an error naming the rows above the chosen limit.
func (t *table) verdict() error {
	var missed []string
	for _, r := range t.rows {
		limit := map[string]float64{"floor": r.floor, "budget": r.budget}[t.limit]
		if !r.within(limit) {
			missed = append(missed, strings.TrimSpace(r.name+" "+r.column))
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("above the %s: %s", t.limit, strings.Join(missed, ", "))
	}
	return nil
}

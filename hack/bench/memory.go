package main

import "time"

func benchMemory(o options, t *table) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := o.memoryRound(ours, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) memoryRound(ours bool, t *table) error {
	s, err := o.start(ours)
	if err != nil {
		return err
	}
	defer s.stop()
	empty := s.memory()
	if err := fill(s.addr(), o.keys); err != nil {
		return err
	}
	perKey := func() float64 {
		time.Sleep(2 * time.Second) // background returning of pages
		return float64(s.memory()-empty) / float64(o.keys)
	}
	t.row(row{name: "resident bytes per key, 16+64 B, fresh", unit: "B", floor: 0.75, budget: 0.65}).add(ours, perKey())
	if err := churn(s.addr(), o.keys); err != nil {
		return err
	}
	t.row(row{name: "resident bytes per key, 16+64 B, after churn", unit: "B", floor: 0.75, budget: 0.65}).add(ours, perKey())
	return nil
}

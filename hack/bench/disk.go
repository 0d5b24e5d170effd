package main

import "time"

// benchDisk times SAVE and the load of the saved file by a restarted server.
func benchDisk(o options, t *table) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			if err := o.diskRound(ours, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) diskRound(ours bool, t *table) error {
	s, err := o.start(ours)
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	if err := fill(s.addr(), o.keys); err != nil {
		return err
	}
	c, err := dial(s.addr())
	if err != nil {
		return err
	}
	defer c.close()
	start := time.Now()
	if _, err := c.do("SAVE"); err != nil {
		return err
	}
	t.row(row{name: "SAVE", unit: "s", budget: 0.6}).add(ours, time.Since(start).Seconds())
	s.stop()
	start = time.Now()
	again, err := o.startIn(s.dir, ours)
	if err != nil {
		return err
	}
	t.row(row{name: "restart with load", unit: "s", budget: 0.6}).add(ours, time.Since(start).Seconds())
	s = again
	return nil
}

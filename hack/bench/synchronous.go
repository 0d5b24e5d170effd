package main

import (
	"errors"
	"fmt"
)

// benchSynchronous compares our server with itself: writes that one of two replicas must hold before the reply leaves, beside
// writes that nobody waits for, with the same replicas attached. The two modes take turns on one set of processes.
func benchSynchronous(o options, t *table) error {
	master, replicas, err := o.follow(true, 2)
	if err != nil {
		return err
	}
	defer stopAll(master, replicas)
	c, err := dial(master.addr())
	if err != nil {
		return err
	}
	defer c.close()
	for range o.rounds {
		for _, p := range []int{1, 16} {
			waits, err := o.writesWith(c, master, 1, p)
			free, err2 := o.writesWith(c, master, 0, p)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			t.row(row{name: fmt.Sprintf("SET per second, two replicas, replies wait for one of them, P=%d", p), unit: "1/s", more: true}).add(true, waits)
			t.row(row{name: fmt.Sprintf("SET per second, two replicas, replies wait for nobody, P=%d", p), unit: "1/s", more: true}).add(true, free)
			budget := 0.0
			if p == 16 {
				budget = 0.5
			}
			t.row(row{name: fmt.Sprintf("synchronous / asynchronous, P=%d", p), unit: "x", more: true, absolute: true, budget: budget}).add(true, waits/free)
		}
	}
	return nil
}

func (o options) writesWith(c *client, master *server, k, pipeline int) (float64, error) {
	if v, err := c.do("CONFIG", "SET", "synchronous-replicas", fmt.Sprint(k)); err != nil || v.IsError() {
		return 0, errors.Join(err, v.Err())
	}
	n := o.requests
	if pipeline > 1 {
		n *= 4
	}
	rates, err := redisBenchmark(master, "set", n, pipeline)
	if err != nil {
		return 0, err
	}
	return rates[0].rps, nil
}

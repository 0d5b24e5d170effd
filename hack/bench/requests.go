package main

import (
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func benchCPU(o options, t *table) error {
	limits := map[int][2]float64{1: {1.1, 0.9}, 16: {0.9, 0.75}}
	return o.alternate(func(s *server) error {
		for _, p := range []int{1, 16} {
			for _, test := range []string{"set", "get"} {
				n := o.requests
				if p > 1 {
					n *= 4
				}
				before, err := s.cpu()
				if err != nil {
					return err
				}
				if _, err := redisBenchmark(s, test, n, p); err != nil {
					return err
				}
				after, err := s.cpu()
				if err != nil {
					return err
				}
				perRequest := float64(after-before) / float64(time.Microsecond) / float64(n)
				name := fmt.Sprintf("CPU per request, %s 64 B, P=%d", strings.ToUpper(test), p)
				t.row(row{name: name, unit: "us", floor: limits[p][0], budget: limits[p][1]}).add(s.ours, perRequest)
			}
		}
		return nil
	})
}

// alternate runs measure on a fresh server of ours and of redis-server in turn, after one warm-up of each.
func (o options) alternate(measure func(*server) error) error {
	for range o.rounds {
		for _, ours := range []bool{true, false} {
			s, err := o.start(ours)
			if err != nil {
				return err
			}
			if _, err = redisBenchmark(s, "set,get", o.requests/10, 16); err == nil {
				err = measure(s)
			}
			s.stop()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

type rate struct {
	test string
	rps  float64
	cpu  time.Duration // user and system time of the redis-benchmark process, all of its tests and its start included
}

func redisBenchmark(s *server, tests string, n, pipeline int) ([]rate, error) {
	return redisBenchmarkArgs(s, n, pipeline, "-t", tests, "-d", "64", "-r", "100000")
}

func redisBenchmarkArgs(s *server, n, pipeline int, args ...string) ([]rate, error) {
	shared := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-n", strconv.Itoa(n), "-P", strconv.Itoa(pipeline), "-c", "50", "--csv"}
	cmd := exec.Command("redis-benchmark", append(shared, args...)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark %v: %w", args, err)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	records, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, err
	}
	var rates []rate
	for _, rec := range records {
		if rps, err := strconv.ParseFloat(rec[1], 64); err == nil {
			rates = append(rates, rate{rec[0], rps, cpu})
		}
	}
	if len(rates) == 0 {
		return nil, fmt.Errorf("redis-benchmark %v printed no figure: %s", args, out)
	}
	return rates, nil
}

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/understudy-db/understudy/server/resp"
)

// kindsOf are the values whose elements are counted: a command that adds one element, or one for all.
var kindsOf = []struct {
	name string
	add  func(args []string, i int) []string
}{
	{"hash", func(args []string, i int) []string {
		return append(args, "field:"+strconv.Itoa(i), "value:"+strconv.Itoa(i))
	}},
	{"list", func(args []string, i int) []string { return append(args, "element:"+strconv.Itoa(i)) }},
	{"set", func(args []string, i int) []string { return append(args, "member:"+strconv.Itoa(i)) }},
	{"zset", func(args []string, i int) []string {
		return append(args, strconv.Itoa(i*7919%1000003), "member:"+strconv.Itoa(i))
	}},
}

var adds = map[string]string{"hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}

// perCommand is how many elements a command adds.
const perCommand = 10

// benchSmall fills many values of ten elements, with a command for each value.
func benchSmall(o options, t *table) error {
	return o.elements(t, "many values of ten elements", strconv.Itoa)
}

// benchMiddle fills values that grow to a length between those of small ones and big ones.
func benchMiddle(o options, t *table) error {
	for _, n := range []int{50, 150, 500} {
		suffix := func(i int) string { return strconv.Itoa(i * perCommand / n) }
		if err := o.elements(t, fmt.Sprintf("many values of %d elements", n), suffix); err != nil {
			return err
		}
	}
	return nil
}

// benchMillion fills one value of each kind.
func benchMillion(o options, t *table) error {
	return o.elements(t, fmt.Sprintf("one value of %d elements", o.keys), func(int) string { return "" })
}

func (o options) elements(t *table, sheet string, suffix func(i int) string) error {
	for range o.rounds {
		for _, kind := range kindsOf {
			if o.only != nil && !o.only[kind.name] {
				continue
			}
			for _, ours := range []bool{true, false} {
				err := o.elementsOf(t, sheet, ours, kind.name, func(i int, dst []byte) []byte {
					args := []string{adds[kind.name], kind.name + suffix(i)}
					for j := range perCommand {
						args = kind.add(args, i*perCommand+j)
					}
					return resp.AppendCommandStrings(dst, args...)
				})
				if err != nil {
					return fmt.Errorf("%s: %w", kind.name, err)
				}
			}
		}
	}
	return nil
}

func (o options) elementsOf(t *table, sheet string, ours bool, kind string, add func(i int, dst []byte) []byte) error {
	s, err := o.start(ours)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := dial(s.addr())
	if err != nil {
		return err
	}
	defer c.close()
	before, err := c.number("used_memory")
	if err != nil {
		return err
	}
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	resident := s.anonymous()
	if err := c.pipe(o.keys/perCommand, add); err != nil {
		return err
	}
	filled, err := s.cpu()
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // background returning of pages
	after, err := c.number("used_memory")
	if err != nil {
		return err
	}
	each := func(v float64) float64 { return v / float64(o.keys) }
	t.row(row{sheet: sheet, name: kind, column: "used_memory per element", unit: "B", budget: 1}).add(ours, each(float64(after-before)))
	t.row(row{sheet: sheet, name: kind, column: "resident per element", unit: "B", budget: 1}).add(ours, each(float64(s.anonymous()-resident)))
	t.row(row{sheet: sheet, name: kind, column: "CPU to add one", unit: "us", budget: 1}).add(ours, each(float64(filled-cpu)/float64(time.Microsecond)))
	return nil
}

package rdb

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

// collector keeps entries as they stand in the stream.
type collector struct {
	part    []byte
	entries [][]byte
	at      []int64
	leave   func(ev *Event) bool // left out
	fail    error
}

func (c *collector) Begin(ev *Event, pos int64) bool {
	if c.leave != nil && c.leave(ev) {
		return false
	}
	c.entries, c.at = append(c.entries, nil), append(c.at, pos)
	return true
}

func (c *collector) Bytes(p []byte) error {
	c.part = append(c.part, p...)
	last := &c.entries[len(c.entries)-1]
	*last = append(*last, p...)
	return c.fail
}

// split reads a file raw and returns what a part of it is made of: all entries, and the databases' numbers.
func split(src io.Reader, c *collector) error {
	r := NewReader(src, Limits{})
	for {
		ev, err := r.NextRaw(c)
		if err != nil {
			return err
		}
		switch ev.Kind {
		case SelectDB:
			c.part = AppendSelectDB(c.part, ev.DB)
		case EOF:
			c.part = append(c.part, EndPart...)
			return nil
		}
	}
}

func rawFiles(t testing.TB) map[string][]byte {
	golden, err := os.ReadFile(filepath.Join("testdata", "redis-7.0.15.rdb")) // has a value of every type
	if err != nil {
		t.Fatal(err)
	}
	sample, _ := sampleFile(true, true)
	old, _ := oldFile()
	long := AppendMagic(nil, Version)
	for i, n := range []int{inputSize - 20, inputSize, inputSize + 1, 3 * growStep} {
		long = AppendExpireMS(long, int64(4102444800000+i))
		long = AppendStringEntry(long, bytes.Repeat([]byte{byte('a' + i)}, n), bytes.Repeat([]byte{byte('A' + i)}, n+i), false)
	}
	return map[string][]byte{"golden": golden, "sample": sample, "old": old, "long": AppendEOF(long, CRC64(0, long), true)}
}

// TestRawEntriesAreTheFilesBytes: entries read raw are found in the file where they are said to begin, and a reader of
// them finds what a reader of the file does.
func TestRawEntriesAreTheFilesBytes(t *testing.T) {
	for name, file := range rawFiles(t) {
		want, _ := readAll(t, bytes.NewReader(file))
		for way, src := range map[string]io.Reader{"whole": bytes.NewReader(file), "bytes": iotest.OneByteReader(bytes.NewReader(file)), "halves": iotest.HalfReader(bytes.NewReader(file))} {
			var c collector
			if err := split(src, &c); err != nil {
				t.Fatalf("%s, %s: %v", name, way, err)
			}
			if len(c.entries) != len(want) {
				t.Errorf("%s, %s: %d entries, want %d", name, way, len(c.entries), len(want))
			}
			for i, e := range c.entries {
				if !bytes.HasPrefix(file[c.at[i]:], e) {
					t.Errorf("%s, %s: entry %d does not stand at byte %d", name, way, i, c.at[i])
				}
			}
			got, err := readPart(c.part)
			if err != nil || texts(got) != texts(want) {
				t.Errorf("%s, %s: %v\ngot\n%.2000s\nwant\n%.2000s", name, way, err, texts(got), texts(want))
			}
		}
	}
}

func readPart(part []byte) (records []record, err error) {
	records, _, err = readRecords(NewPartReader(bytes.NewReader(part), Limits{}))
	return records, err
}

func TestRawEntriesCanBeLeftOut(t *testing.T) {
	file, all := sampleFile(true, true)
	c := collector{leave: func(ev *Event) bool { return ev.ExpireMS != 0 }}
	if err := split(bytes.NewReader(file), &c); err != nil {
		t.Fatal(err)
	}
	var want []record
	for _, r := range all {
		if r.expire == 0 {
			want = append(want, r)
		}
	}
	got, err := readPart(c.part)
	if err != nil || texts(got) != texts(want) {
		t.Errorf("%v\ngot\n%.2000s\nwant\n%.2000s", err, texts(got), texts(want))
	}
}

// TestRawReadingFailsLikeReading: what is wrong with where entries end is found by both ways, at the same byte.
func TestRawReadingFailsLikeReading(t *testing.T) {
	file, _ := sampleFile(true, true)
	cut := file[:len(file)/2]
	damaged := append([]byte{}, file...)
	damaged[len(damaged)-1] ^= 1
	for name, bad := range map[string][]byte{"cut": cut, "checksum": damaged, "type": append(AppendMagic(nil, 10), 99), "length": append(AppendMagic(nil, 10), 0, 0x82)} {
		_, _, want := tryRead(bytes.NewReader(bad))
		if err := split(bytes.NewReader(bad), &collector{}); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	stop := errors.New("stop")
	for name, file := range rawFiles(t) {
		if err := split(bytes.NewReader(file), &collector{fail: stop}); !errors.Is(err, stop) {
			t.Errorf("%s: the sink's error is lost: %v", name, err)
		}
	}
}

package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// feed gives stream to a Parser in pieces of the given size and returns the commands, printed, and the error.
func feed(p *Parser, stream []byte, step int) (out []string, err error) {
	var buf []byte
	for len(stream) > 0 || len(buf) > 0 {
		n := min(step, len(stream))
		buf = append(append([]byte(nil), buf...), stream[:n]...) // a new array each time: nothing may point into the old
		stream = stream[n:]
		for {
			args, used, err := p.Next(buf, nil)
			if err != nil {
				return out, err
			}
			if used == 0 {
				break
			}
			if len(args) > 0 {
				out = append(out, fmt.Sprintf("%q", args))
			}
			buf = buf[used:]
		}
		if n == 0 {
			break
		}
	}
	return out, nil
}

func TestParserPipelinesSplitAnywhere(t *testing.T) {
	var stream []byte
	stream = AppendCommandStrings(stream, "SET", "key", strings.Repeat("v", 300))
	stream = append(stream, "PING\r\n\r\n  GET  \"a b\\x41\\n\" 'it\\'s'\n*0\r\n*-1\r\n"...)
	stream = AppendCommandStrings(stream, "MSET", "", "\r\n", "k\x00", strings.Repeat("w", 12))
	want, err := feed(&Parser{}, stream, len(stream))
	if err != nil || len(want) != 4 {
		t.Fatalf("whole: %v, %v", want, err)
	}
	for step := 1; step < len(stream); step++ {
		got, err := feed(&Parser{}, stream, step)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if strings.Join(got, ";") != strings.Join(want, ";") {
			t.Fatalf("step %d:\n got %v\nwant %v", step, got, want)
		}
	}
}

// TestParserTakesAllLengths holds the short way of usual commands against the long one, which bytes that come one by one take.
func TestParserTakesAllLengths(t *testing.T) {
	for _, args := range []int{1, 2, 3, 9, 10, 12} {
		for _, length := range []int{0, 1, 9, 10, 11, 99, 100, 999, 1000, 9999, 10000, 12345} {
			words := make([]string, args)
			for i := range words {
				words[i] = strings.Repeat(string(rune('a'+i)), length)
			}
			stream := AppendCommandStrings(nil, words...)
			for _, limit := range []int64{0, -1, 1 << 20, 5000} {
				whole, err1 := feed(&Parser{MaxBulk: limit}, stream, len(stream))
				parts, err2 := feed(&Parser{MaxBulk: limit}, stream, max(len(stream)/40, 1))
				if fmt.Sprint(err1) != fmt.Sprint(err2) || strings.Join(whole, ";") != strings.Join(parts, ";") {
					t.Fatalf("%d arguments of %d bytes, limit %d: %d commands, %v; in parts %d, %v", args, length, limit, len(whole), err1, len(parts), err2)
				}
				if bad := limit == 5000 && length > 5000; bad != (err1 != nil) || !bad && len(whole) != 1 {
					t.Fatalf("%d arguments of %d bytes, limit %d: %d commands, %v", args, length, limit, len(whole), err1)
				}
			}
		}
	}
}

func TestParserErrors(t *testing.T) {
	guest := Parser{Guest: true}
	for _, tc := range []struct {
		p    Parser
		in   string
		want string
	}{
		{in: "*x\r\n", want: "Protocol error: invalid multibulk length"},
		{in: "*3000000000\r\n", want: "Protocol error: invalid multibulk length"},
		{in: "*1\r\n:1\r\n", want: "Protocol error: expected '$', got ':'"},
		{in: "*1\r\n$-1\r\n", want: "Protocol error: invalid bulk length"},
		{in: "*1\r\n$536870913\r\n", want: "Protocol error: invalid bulk length"},
		{in: "*1\r\n$99999999999999999999\r\n", want: "Protocol error: invalid bulk length"},
		{in: "*1\r\n$03\r\nabc\r\n", want: "Protocol error: invalid bulk length"},
		{in: "*2\r\n$1\r\na\r\n$1x\r\nabc\r\n", want: "Protocol error: invalid bulk length"},
		{in: "*01\r\n$4\r\nPING\r\n", want: "Protocol error: invalid multibulk length"},
		{in: "SET \"a\r\n", want: "Protocol error: unbalanced quotes in request"},
		{in: "SET \"a\"b\r\n", want: "Protocol error: unbalanced quotes in request"},
		{in: strings.Repeat("a", MaxInline+1), want: "Protocol error: too big inline request"},
		{in: "*" + strings.Repeat("1", MaxInline+1), want: "Protocol error: too big mbulk count string"},
		{in: "*1\r\n$" + strings.Repeat("1", MaxInline+1), want: "Protocol error: too big bulk count string"},
		{p: guest, in: "*11\r\n", want: "Protocol error: unauthenticated multibulk length"},
		{p: guest, in: "*1\r\n$16385\r\n", want: "Protocol error: unauthenticated bulk length"},
	} {
		for _, step := range []int{len(tc.in), 7, 1} {
			if step == 1 && len(tc.in) > 1000 {
				continue
			}
			p := tc.p
			_, err := feed(&p, []byte(tc.in), step)
			if err == nil || err.Error() != tc.want {
				t.Errorf("%.30q in steps of %d: got %v, want %s", tc.in, step, err, tc.want)
			}
		}
	}
}

func TestParserNeed(t *testing.T) {
	p := &Parser{}
	head := []byte("*2\r\n$3\r\nGET\r\n$100000\r\nabc")
	if _, used, err := p.Next(head, nil); used != 0 || err != nil {
		t.Fatalf("used %d, err %v", used, err)
	}
	if want := len(head) - 3 + 100002; p.Need() != want {
		t.Fatalf("Need %d, want %d", p.Need(), want)
	}
}

func TestParserAllocatesNothing(t *testing.T) {
	stream := AppendCommandStrings(nil, "SET", "key:000000000001", strings.Repeat("x", 64))
	var p Parser
	args := make([][]byte, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		var used int
		args, used, _ = p.Next(stream, args[:0])
		if used != len(stream) || len(args) != 3 {
			t.Fatal("not parsed")
		}
	}); n != 0 {
		t.Fatalf("%v allocations per command", n)
	}
}

func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		if got, ok := ParseInt([]byte(in)); !ok || got != want {
			t.Errorf("%s: %d %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "-", "+1", "01", "-0", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999", "1a"} {
		if got, ok := ParseInt([]byte(in)); ok {
			t.Errorf("%q read as %d", in, got)
		}
	}
}

// FuzzParser holds the parser to one property: how the bytes are cut makes no difference.
func FuzzParser(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n"), uint8(3))
	f.Add([]byte("*1\r\n$4\r\nPI"), uint8(1))
	f.Add([]byte("SET \"a\\x00\" 'b'\n*-1\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole, err1 := feed(&Parser{MaxBulk: 1 << 20}, in, len(in)+1)
		parts, err2 := feed(&Parser{MaxBulk: 1 << 20}, in, int(step)+1)
		if fmt.Sprint(err1) != fmt.Sprint(err2) || strings.Join(whole, ";") != strings.Join(parts, ";") {
			t.Fatalf("whole %v %v; in parts %v %v", whole, err1, parts, err2)
		}
	})
}

// FuzzRoundTrip: what AppendCommand writes, Parser reads.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a"), []byte(""), []byte("\r\n"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		want := [][]byte{a, b, c}
		enc := AppendCommand(nil, want...)
		got, used, err := new(Parser).Next(enc, nil)
		if err != nil || used != len(enc) || len(got) != 3 {
			t.Fatalf("%q: %q used %d err %v", enc, got, used, err)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("argument %d: %q, want %q", i, got[i], want[i])
			}
		}
	})
}

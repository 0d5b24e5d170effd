package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/understudy-db/understudy/server/listpack"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew from a real redis-server")

func TestCRC64IsTheOneOfRedis(t *testing.T) {
	if got := CRC64(0, []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("check value %x", got)
	}
	text := []byte(strings.Repeat("abcdefghij", 13))
	if CRC64(CRC64(0, text[:17]), text[17:]) != CRC64(0, text) {
		t.Error("in two parts the checksum differs")
	}
}

func TestLZFRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	var table lzfTable
	for round := range 2000 {
		src := make([]byte, rnd.IntN(3000))
		letters := 1 + rnd.IntN(40)
		for i := range src {
			src[i] = byte(rnd.IntN(letters))
		}
		if round%50 == 0 {
			src = bytes.Repeat(src, 20)
		}
		packed, ok := lzfCompress([]byte("x"), src, 1<<30, &table)
		if !ok || packed[0] != 'x' {
			t.Fatalf("seed %d: not compressed", seed)
		}
		out, ok := lzfExpand([]byte("y"), packed[1:], len(src))
		if !ok || !bytes.Equal(out[1:], src) {
			t.Fatalf("seed %d round %d: %d bytes came back as %d", seed, round, len(src), len(out)-1)
		}
		if _, ok := lzfExpand(nil, packed[1:], len(src)+1); ok {
			t.Fatal("a wrong size was accepted")
		}
		if len(packed) > 2 {
			if _, ok := lzfExpand(nil, packed[1:len(packed)-1], len(src)); ok && len(src) > 0 {
				t.Fatal("a cut string was accepted")
			}
		}
	}
}

func FuzzLZFExpand(f *testing.F) {
	f.Add([]byte{2, 'a', 'b', 'c', 0xE0, 9, 2}, 21)
	f.Fuzz(func(t *testing.T, src []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		if out, ok := lzfExpand(nil, src, size); ok && len(out) != size {
			t.Fatalf("%d bytes for %d", len(out), size)
		}
	})
}

// record is an entry as text, so that files are compared by their content.
type record struct {
	db       int
	key      string
	typ      string
	expire   int64
	value    string
	hash     map[string]string
	idle     int64
	freq     int
	encoding Type
}

func (r record) String() string {
	v := strconv.Quote(r.value)
	if r.hash != nil {
		var list []string
		for f, x := range r.hash {
			list = append(list, fmt.Sprintf("%q=%q", f, x))
		}
		sort.Strings(list)
		v = "{" + strings.Join(list, " ") + "}"
	}
	return fmt.Sprintf("%d %q %s expire=%d %s", r.db, r.key, r.typ, r.expire, v)
}

func readAll(t testing.TB, src io.Reader) (records []record, aux map[string]string) {
	t.Helper()
	records, aux, err := tryRead(src)
	if err != nil {
		t.Fatal(err)
	}
	return records, aux
}

func tryRead(src io.Reader) (records []record, aux map[string]string, err error) {
	return readRecords(NewReader(src, Limits{}))
}

func readRecords(r *Reader) (records []record, aux map[string]string, err error) {
	aux = map[string]string{}
	db := 0
	for {
		ev, err := r.Next()
		if err != nil {
			return records, aux, err
		}
		switch ev.Kind {
		case Aux:
			aux[string(ev.Key)] = string(ev.Value)
		case SelectDB:
			db = ev.DB
		case EOF:
			return records, aux, nil
		case Entry:
			rec := record{db: db, key: string(ev.Key), typ: ev.Type.Name(), expire: ev.ExpireMS, idle: ev.Idle, freq: ev.Freq, encoding: ev.Type}
			if ev.Type == TypeString {
				rec.value = string(ev.Value)
			}
			if ev.IsHash() {
				rec.hash = map[string]string{}
				for {
					f, v, ok, err := r.NextField()
					if err != nil {
						return records, aux, err
					}
					if !ok {
						break
					}
					rec.hash[string(f)] = string(v)
				}
			}
			for ev.Type.Name() == "set" {
				m, ok, err := r.NextMember()
				if err != nil {
					return records, aux, err
				}
				if !ok {
					break
				}
				if rec.hash == nil {
					rec.hash = map[string]string{}
				}
				rec.hash[string(m)] = "member"
			}
			records = append(records, rec)
		}
	}
}

func texts(records []record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.String())
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// sampleStrings hit every border of the string encodings.
func sampleStrings() [][]byte {
	var out [][]byte
	for _, n := range []int64{0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32,
		math.MinInt32 - 1, math.MaxInt64, math.MinInt64, 4095, 4096, -4096, -4097, 8388607, 8388608, -8388608, -8388609} {
		out = append(out, strconv.AppendInt(nil, n, 10))
	}
	for _, s := range []string{"", "-", "-0", "00", "+1", "01", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "99999999999", "x\x00\r\n\xff"} {
		out = append(out, []byte(s))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{20, 21, 63, 64, 127, 128, 4095, 4096, 16383, 16384, 70000, 300000} {
		noise := make([]byte, n)
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		out = append(out, noise, bytes.Repeat([]byte("ab"), n/2+1), append(bytes.Repeat([]byte{7}, n/2), noise[:n/2]...))
	}
	return out
}

// sampleFile writes every string as a value and as hash fields in both encodings.
func sampleFile(compress, checksum bool) (file []byte, want []record) {
	b := AppendMagic(nil, Version)
	b = AppendAux(b, "redis-ver", "7.0.15")
	b = AppendAux(b, "repl-offset", "12345")
	samples := sampleStrings()
	b = AppendResizeDB(AppendSelectDB(b, 0), len(samples), 1)
	for i, s := range samples {
		key := fmt.Sprintf("s:%d", i)
		rec := record{key: key, typ: "string", value: string(s)}
		if i%3 == 0 {
			rec.expire = 4102444800000 + int64(i)
			b = AppendExpireMS(b, rec.expire)
		}
		b = AppendStringEntry(b, []byte(key), s, compress)
		want = append(want, rec)
	}
	b = AppendIntEntry(b, []byte("int"), -77777777777, compress)
	want = append(want, record{key: "int", typ: "string", value: "-77777777777"})
	b = AppendResizeDB(AppendSelectDB(b, 9), 2, 0)
	whole := map[string]string{}
	b = AppendHashEntry(b, []byte("big"), len(samples), compress)
	lp := listpack.Begin(nil)
	for i, s := range samples {
		f := fmt.Sprintf("f%d", i)
		b = AppendString(AppendString(b, []byte(f), compress), s, compress)
		lp = listpack.AppendString(listpack.AppendString(lp, []byte(f)), s)
		whole[f] = string(s)
	}
	lp = listpack.Finish(lp, 0, 2*len(samples))
	b = AppendHashListpackEntry(b, []byte("small"), lp, compress)
	want = append(want, record{db: 9, key: "big", typ: "hash", hash: whole}, record{db: 9, key: "small", typ: "hash", hash: whole})
	return AppendEOF(b, CRC64(0, b), checksum), want
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, compress := range []bool{false, true} {
		file, want := sampleFile(compress, true)
		got, aux := readAll(t, iotest.OneByteReader(bytes.NewReader(file)))
		if texts(got) != texts(want) {
			t.Errorf("compress %v: the content differs", compress)
		}
		if aux["repl-offset"] != "12345" {
			t.Errorf("aux %v", aux)
		}
	}
	plain, _ := sampleFile(false, true)
	packed, _ := sampleFile(true, true)
	if len(packed) > len(plain)*2/3 {
		t.Errorf("compressed %d bytes, plain %d", len(packed), len(plain))
	}
}

func TestErrorsNameTheByte(t *testing.T) {
	file, _ := sampleFile(true, true)
	for _, c := range []struct {
		name string
		file []byte
		pos  int64
		want string
	}{
		{"magic", []byte("REDIX0010....."), 0, "not an RDB file"},
		{"version", []byte("REDIS0099....."), 0, "Can't handle RDB format version 99"},
		{"type", append(AppendMagic(nil, 10), 99), 9, "unknown object type 99"},
		{"length", append(AppendMagic(nil, 10), 0, 0x82), 11, "unknown length encoding 0x82"},
		{"checksum", append(append([]byte{}, file[:len(file)-1]...), file[len(file)-1]^1), int64(len(file)), "wrong checksum"},
	} {
		_, _, err := tryRead(bytes.NewReader(c.file))
		var bad *Error
		if !errors.As(err, &bad) || bad.Pos != c.pos || !strings.Contains(bad.Reason, c.want) {
			t.Errorf("%s: %v, want %q at byte %d", c.name, err, c.want, c.pos)
		}
	}
	flipped := append([]byte{}, file...)
	flipped[len(file)-8-1-100] ^= 0x10
	if _, _, err := tryRead(bytes.NewReader(flipped)); err == nil {
		t.Error("a flipped bit went unnoticed")
	}
}

func TestEveryTruncationIsNoticed(t *testing.T) {
	b := AppendSelectDB(AppendMagic(nil, Version), 3)
	b = AppendStringEntry(b, []byte("key"), bytes.Repeat([]byte("abc"), 40), true)
	b = AppendHashListpackEntry(b, []byte("h"), listpack.Finish(listpack.AppendString(listpack.AppendString(listpack.Begin(nil), []byte("f")), []byte("300")), 0, 2), false)
	b = AppendEOF(b, CRC64(0, b), true)
	for n := range b {
		_, _, err := tryRead(bytes.NewReader(b[:n]))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, _, err := tryRead(bytes.NewReader(b)); err != nil {
		t.Error(err)
	}
}

func TestLyingLengthsAllocateLittle(t *testing.T) {
	head := AppendMagic(nil, Version)
	str := AppendLen(append(append([]byte{}, head...), byte(TypeString), 1, 'k'), 500<<20)
	lzf := AppendLen(AppendLen(append(append([]byte{}, head...), byte(TypeString), 1, 'k', encLZF), 10), 500<<20)
	lzf = append(lzf, 0, 'a', 0, 'b', 0, 'c', 0, 'd', 0, 'e')
	hash := AppendLen(append(append([]byte{}, head...), byte(TypeHash), 1, 'k'), math.MaxUint64)
	for name, file := range map[string][]byte{"string": str, "lzf": lzf, "hash": hash} {
		allocated := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, _, err := tryRead(bytes.NewReader(file)); err == nil {
					b.Fatal("accepted")
				}
			}
		}).AllocedBytesPerOp()
		if allocated > 4<<20 {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, allocated, len(file))
		}
	}
	r := NewReader(bytes.NewReader(str), Limits{MaxString: 1000})
	if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "longer than the limit of 1000") {
		t.Errorf("%v", err)
	}
}

// ziplist builds the old packed form, to be compared with a redis-server that still reads it.
func ziplist(elems ...[]byte) []byte {
	b := make([]byte, ziplistHeader)
	prev, tail := 0, ziplistHeader
	for _, e := range elems {
		tail = len(b)
		if prev < 254 {
			b = append(b, byte(prev))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, 0xFE), uint32(prev))
		}
		n, isInt := listpack.ParseInt(e)
		switch {
		case isInt && n >= 0 && n <= 12:
			b = append(b, 0xF1+byte(n))
		case isInt && n >= -128 && n <= 127:
			b = append(b, 0xFE, byte(n))
		case isInt && n >= -32768 && n <= 32767:
			b = append(b, 0xC0, byte(n), byte(n>>8))
		case isInt && n >= -1<<23 && n < 1<<23:
			b = append(b, 0xF0, byte(n), byte(n>>8), byte(n>>16))
		case isInt && n >= math.MinInt32 && n <= math.MaxInt32:
			b = binary.LittleEndian.AppendUint32(append(b, 0xD0), uint32(n))
		case isInt:
			b = binary.LittleEndian.AppendUint64(append(b, 0xE0), uint64(n))
		case len(e) < 64:
			b = append(append(b, byte(len(e))), e...)
		case len(e) < 16384:
			b = append(append(b, 0x40|byte(len(e)>>8), byte(len(e))), e...)
		default:
			b = append(binary.BigEndian.AppendUint32(append(b, 0x80), uint32(len(e))), e...)
		}
		prev = len(b) - tail
	}
	b = append(b, 0xFF)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(tail))
	binary.LittleEndian.PutUint16(b[8:], uint16(len(elems)))
	return b
}

func zipmap(elems ...[]byte) []byte {
	b := []byte{byte(min(len(elems)/2, 254))}
	for i, e := range elems {
		if len(e) < 254 {
			b = append(b, byte(len(e)))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, 0xFE), uint32(len(e)))
		}
		if i%2 == 1 {
			b = append(b, 2) // two unused bytes behind each value
		}
		b = append(b, e...)
		if i%2 == 1 {
			b = append(b, 0, 0)
		}
	}
	return append(b, 0xFF)
}

// oldFile holds hashes in the encodings that only older versions write.
func oldFile() ([]byte, []record) {
	var elems [][]byte
	fields := map[string]string{}
	for i, s := range sampleStrings() {
		if len(s) > 20000 {
			continue
		}
		elems = append(elems, []byte(fmt.Sprintf("f%d", i)), s)
		fields[fmt.Sprintf("f%d", i)] = string(s)
	}
	b := AppendSelectDB(AppendMagic(nil, 6), 0)
	b = AppendString(AppendString(append(b, byte(TypeHashZiplist)), []byte("zl"), false), ziplist(elems...), true)
	b = AppendString(AppendString(append(b, byte(TypeHashZipmap)), []byte("zm"), false), zipmap(elems...), false)
	b = append(b, opExpire, 0, 0, 0, 0x7F)
	b = AppendStringEntry(b, []byte("old expiry"), []byte("v"), false)
	return AppendEOF(b, CRC64(0, b), true), []record{{key: "zl", typ: "hash", hash: fields}, {key: "zm", typ: "hash", hash: fields},
		{key: "old expiry", typ: "string", value: "v", expire: 0x7F000000 * 1000}}
}

func TestOldHashEncodings(t *testing.T) {
	file, want := oldFile()
	got, _ := readAll(t, bytes.NewReader(file))
	if texts(got) != texts(want) {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", texts(got), texts(want))
	}
}

func TestGoldenFile(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "redis-7.0.15.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "redis-7.0.15.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got, aux := readAll(t, bytes.NewReader(file))
	if texts(got) != string(want) {
		t.Errorf("got\n%.3000s\nwant\n%.3000s", texts(got), want)
	}
	if aux["redis-ver"] != "7.0.15" || aux["redis-bits"] != "64" {
		t.Errorf("aux %v", aux)
	}
}

func TestRestIsWhatFollowsTheFile(t *testing.T) {
	file, _ := sampleFile(true, false)
	r := NewReader(bytes.NewReader(append(append([]byte{}, file...), "PING"...)), Limits{})
	for {
		ev, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == EOF {
			break
		}
	}
	if string(r.Rest()) != "PING" || r.Pos() != int64(len(file)) {
		t.Errorf("rest %q at %d of %d", r.Rest(), r.Pos(), len(file))
	}
}

// FuzzReader: no input may panic or make the reader loop; what is accepted twice must be equal, whole
// or byte by byte.
func FuzzReader(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "redis-7.0.15.rdb"))
	if err == nil {
		f.Add(golden)
	}
	old, _ := oldFile()
	f.Add(old[:200])
	b := AppendHashListpackEntry(AppendMagic(nil, 10), []byte("h"), listpack.Finish(listpack.AppendString(listpack.AppendString(listpack.Begin(nil), []byte("f")), []byte("300")), 0, 2), false)
	f.Add(AppendEOF(b, 0, false))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, _, errA := tryRead(bytes.NewReader(file))
		b, _, errB := tryRead(iotest.HalfReader(bytes.NewReader(file)))
		if (errA == nil) != (errB == nil) || texts(a) != texts(b) {
			t.Fatalf("two readings differ: %v %v", errA, errB)
		}
	})
}

func BenchmarkReadStrings(b *testing.B) {
	file := AppendMagic(nil, Version)
	for i := range 100000 {
		file = AppendStringEntry(file, fmt.Appendf(nil, "key:%012d", i), bytes.Repeat([]byte{byte(i)}, 64), false)
	}
	file = AppendEOF(file, CRC64(0, file), true)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for range b.N {
		r := NewReader(bytes.NewReader(file), Limits{})
		for {
			ev, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if ev.Kind == EOF {
				break
			}
		}
	}
}

func BenchmarkAppendString(b *testing.B) {
	value := bytes.Repeat([]byte("some text "), 7)[:64]
	buf := make([]byte, 0, 1<<20)
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("compress=%v", compress), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				buf = AppendStringEntry(buf[:0], value[:16], value, compress)
			}
		})
	}
}

// TestLongStringsAreRead: proto-max-bulk-len may have let in values of any length, and what was stored must load.
func TestLongStringsAreRead(t *testing.T) {
	file := append([]byte("REDIS0010"), byte(TypeString), 1, 'k')
	file = append(AppendLen(file, 1<<33), "the rest is missing"...)
	r := NewReader(bytes.NewReader(file), Limits{})
	if _, err := r.Next(); err == nil || strings.Contains(err.Error(), "limit") {
		t.Errorf("a string of 8 GiB, cut off: %v", err)
	}
}

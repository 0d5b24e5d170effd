package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const within = 2 * time.Minute // generous: the machine may be busy with other things

// ours is the path of the server's program.
var ours string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clients-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	ours = filepath.Join(dir, "understudy-server")
	build := exec.Command("go", "build", "-trimpath", "-o", ours, "./server")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build the server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patient makes a client wait for a busy machine and never say anything twice: the limits of a pipeline are for all of it.
func patient(o redis.Options) *redis.Options {
	o.MaxRetries, o.DialTimeout, o.ReadTimeout, o.WriteTimeout = -1, within, within, within
	return &o
}

// start runs a server for one test and returns its address.
func start(t *testing.T, program string) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT RUN: apt-get install redis-server (this test compares with it)")
	}
	port := freePort(t)
	cmd := exec.Command(program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := fmt.Sprint("127.0.0.1:", port)
	c := redis.NewClient(patient(redis.Options{Addr: addr}))
	defer c.Close()
	for end := time.Now().Add(within); c.Ping(context.Background()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not answer", program)
		}
	}
	return addr
}

// freePort is one below the range from which the kernel serves outgoing connections: another client cannot take it before
// the server listens.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port below the range of outgoing connections")
	return 0
}

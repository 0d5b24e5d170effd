package testbed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"

	"github.com/understudy-db/understudy/hack/internal/respclient"
)

// forward reaches a pod or Service of a foreign cluster by kubectl port-forward: one per connection, so that a client that
// dials again after a failover gets the new master.
func (b *Bed) forward(namespace, target string) respclient.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		life, end := context.WithCancel(context.WithoutCancel(ctx)) // it lives as long as the connection, not as the dialling
		cmd := b.KubectlCommand(life, "-n", namespace, "port-forward", "--address", "127.0.0.1", target, fmt.Sprintf(":%d", redisPort))
		conn, err := startForward(ctx, cmd)
		if err != nil {
			end()
			return nil, fmt.Errorf("port-forward to %s: %w", target, err)
		}
		return &forwarded{Conn: conn, end: end, cmd: cmd}, nil
	}
}

func startForward(ctx context.Context, cmd *exec.Cmd) (net.Conn, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n') // Forwarding from 127.0.0.1:40123 -> 6379
	if err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	_, rest, _ := strings.Cut(first, "Forwarding from ")
	address, _, ok := strings.Cut(rest, " ")
	if !ok {
		return nil, fmt.Errorf("kubectl said %q", first)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

type forwarded struct {
	net.Conn
	end context.CancelFunc
	cmd *exec.Cmd
}

// Close ends the port-forward with the connection.
func (f *forwarded) Close() error {
	err := f.Conn.Close()
	f.end()
	_ = f.cmd.Wait()
	return err
}

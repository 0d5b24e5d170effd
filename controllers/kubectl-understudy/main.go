// Command kubectl-understudy is a kubectl plugin: `kubectl understudy status NAME` tells how a set is,
// `kubectl understudy promote NAME MEMBER` asks for a switchover. It uses the kubeconfig as kubectl does
// and needs no more rights than reading and changing the resource.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, connect)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

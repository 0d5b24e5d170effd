// Command image builds container images as archives that `go run ./hack/cluster load`, skopeo, docker or podman read.
//
//	go run ./hack/image                                      the server's and the operator's, into bin/images
//	go run ./hack/image localhost/probe:1=./hack/e2e/probe   any other main package of this module
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/understudy-db/understudy/hack/internal/images"
)

func main() { os.Exit(run()) }

func run() int {
	out := flag.String("out", "bin/images", "folder for the archives")
	tag := flag.String("tag", "dev", "tag of the project's own images")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./hack/image [flags] [REF=PACKAGE]...")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, *out, *tag, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, out, tag string, args []string) error {
	specs := images.Product(tag)
	if len(args) > 0 {
		specs = nil
	}
	for _, a := range args {
		s, err := images.Parse(a)
		if err != nil {
			return err
		}
		specs = append(specs, s)
	}
	for _, s := range specs {
		archive, digest, err := images.Build(ctx, ".", out, s)
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s  %s\n", s.Ref, digest, archive)
	}
	return nil
}

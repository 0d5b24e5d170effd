// Command server is a Redis-compatible server made for replication.
package main

import (
	"os"

	"github.com/understudy-db/understudy/server/app"
)

func main() { os.Exit(app.Main(app.Args(), os.Stdin, os.Stdout, os.Stderr)) }

// Command probe is what the end-to-end suites run in pods of their own to look at the cluster from inside: an image with
// a shell would come from a registry, and there is none.
//
//	probe serve            answer on :8080 with the pod's name; /file reads and (POST) writes /data/file
//	probe get URL          print the answer of a URL
//	probe lookup NAME      print the addresses of a name
//	probe cat FILE         print a file
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const dataFile = "/data/file"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve()
	}
	if len(args) != 2 {
		return fmt.Errorf("usage: probe serve | get URL | lookup NAME | cat FILE")
	}
	switch args[0] {
	case "get":
		client := http.Client{Timeout: 2 * time.Second}
		resp, err := client.Get(args[1])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	case "lookup":
		addrs, err := net.LookupHost(args[1])
		fmt.Println(strings.Join(addrs, " "))
		return err
	case "cat":
		b, err := os.ReadFile(args[1])
		fmt.Print(string(b))
		return err
	}
	return fmt.Errorf("no verb %q", args[0])
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	fmt.Println("serving as", name)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b, err := io.ReadAll(r.Body)
			if err == nil {
				err = os.WriteFile(dataFile, b, 0o600)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
		http.ServeFile(w, r, dataFile)
	})
	return http.ListenAndServe(":8080", nil)
}

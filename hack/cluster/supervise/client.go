package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Client asks a supervisor that listens on Socket.
type Client struct{ Socket string }

// Start starts a process; it returns as soon as the process runs.
func (c Client) Start(spec Spec) error {
	_, err := c.ask(request{Verb: "start", Spec: spec})
	return err
}

// Stop ends a process: SIGTERM, and SIGKILL after grace. Grace 0 is SIGKILL at once.
func (c Client) Stop(name string, grace time.Duration) error {
	_, err := c.ask(request{Verb: "stop", Name: name, Grace: grace})
	return err
}

// List returns every process that was ever started under the supervisor, by name.
func (c Client) List() ([]State, error) { return c.ask(request{Verb: "list"}) }

// Quit ends every process and then the supervisor.
func (c Client) Quit() error {
	_, err := c.ask(request{Verb: "quit"})
	return err
}

func (c Client) ask(req request) ([]State, error) {
	conn, err := net.DialTimeout("unix", c.Socket, 2*time.Second)
	if err != nil {
		return nil, fmt.Errorf("the cluster's supervisor does not answer: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return nil, err
	}
	var resp response
	if err := json.NewDecoder(conn).Decode(&resp); err != nil {
		return nil, fmt.Errorf("the cluster's supervisor hung up: %w", err)
	}
	if resp.Error != "" {
		return resp.States, errors.New(resp.Error)
	}
	return resp.States, nil
}

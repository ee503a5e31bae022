package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// connector is the PHP connector as it stands in a real ERP: a PHP process in whose
// requests the ERP's events are fired, and the delivery that cron would start. The
// stand-in's changes go through it to Notify (-php).
type connector struct {
	url       string
	client    *http.Client
	folder    string // configuration and spool, of this run alone
	processes []*exec.Cmd
	ended     chan error
}

// connectorFolder holds the connector, beside go.mod, where the local run is started.
const connectorFolder = "scripts/userside"

// startConnector starts PHP's built-in server in the ERP's place, which fires the
// events, and the delivery of what could not be sent at once.
func startConnector(ctx context.Context, base, secret string) (*connector, error) {
	page, err := filepath.Abs(filepath.Join(connectorFolder, "testdata", "erp.php"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(page); err != nil {
		return nil, fmt.Errorf("-php needs the connector: run it in the repository's folder: %w", err)
	}
	php, err := exec.LookPath("php")
	if err != nil {
		return nil, fmt.Errorf("-php needs PHP's command line (apt-get install php-cli php-curl): %w", err)
	}
	c := &connector{client: &http.Client{Timeout: 10 * time.Second}, ended: make(chan error, 2)}
	if c.folder, err = os.MkdirTemp("", "erp-calendar-php-"); err != nil {
		return nil, err
	}
	config := filepath.Join(c.folder, "config.php")
	text := fmt.Sprintf("<?php return ['url' => %q, 'secret' => %q, 'spool' => %q, 'allow_http' => true];\n",
		base+"/Notify/", secret, filepath.Join(c.folder, "spool"))
	err = errors.Join(os.WriteFile(config, []byte(text), 0o600), os.Mkdir(filepath.Join(c.folder, "spool"), 0o700))
	if err == nil {
		err = c.launch(ctx, php, page, config)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *connector) launch(ctx context.Context, php, page, config string) error {
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	c.url = "http://" + addr + "/"
	deliver := filepath.Join(filepath.Dir(page), "..", "deliver.php")
	for _, args := range [][]string{{"-S", addr, page}, {deliver, "--for=" + strconv.Itoa(int((30 * 24 * time.Hour).Seconds()))}} {
		cmd := exec.CommandContext(ctx, php, args...) //nolint:gosec // PHP itself, with the connector's own files
		// ERP_FINISH gives the built-in server what PHP-FPM has: the page goes first.
		cmd.Env = append(os.Environ(), "ERP_CALENDAR_CONFIG="+config, "ERP_FINISH=on")
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 2 * time.Second
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start PHP: %w", err)
		}
		c.processes = append(c.processes, cmd)
		go func() { c.ended <- cmd.Wait() }()
	}
	return c.ready(ctx)
}

// ready waits until PHP answers.
func (c *connector) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for pace := time.NewTicker(20 * time.Millisecond); ; {
		if c.request(ctx, http.MethodGet, nil) == nil {
			return nil
		}
		select {
		case err := <-c.ended:
			return fmt.Errorf("PHP ended at once: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("PHP does not answer at %s: %w", c.url, ctx.Err())
		case <-pace.C:
		}
	}
}

// fire is the dispatcher's request inside the ERP: its event handlers run, and it
// returns when the browser would have the page.
func (c *connector) fire(ctx context.Context, change fakeerp.Change) error {
	name, known := map[string]string{
		fakeerp.TaskChanged: "TASK_CHANGED", fakeerp.TaskDeleted: "TASK_DELETED",
		fakeerp.EmployeeChanged: "EMPLOYEE_CHANGED", fakeerp.EmployeeDeleted: "EMPLOYEE_DELETED",
	}[change.Type]
	if !known {
		return fmt.Errorf("no event of the ERP tells of %q", change.Type)
	}
	body, err := json.Marshal(map[string]any{"event": name, "ids": change.IDs})
	if err != nil {
		return err
	}
	return c.request(ctx, http.MethodPost, body)
}

func (c *connector) request(ctx context.Context, method string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the ERP's page: %s", res.Status)
	}
	return nil
}

// close ends PHP and removes what the run kept.
func (c *connector) close() error {
	var errs []error
	for _, p := range c.processes {
		_ = p.Cancel() // it may have ended by itself
	}
	for range c.processes {
		select {
		case err := <-c.ended:
			if _, interrupted := errors.AsType[*exec.ExitError](err); !interrupted && err != nil {
				errs = append(errs, err)
			}
		case <-time.After(5 * time.Second):
			errs = append(errs, errors.New("PHP does not end"))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.folder))...)
}

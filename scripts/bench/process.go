package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a process of the product under way.
type process struct {
	base   string
	client *http.Client
	cmd    *exec.Cmd
	in     io.Closer
}

// spawn starts this program again as a process of the product.
func spawn(ctx context.Context, s spec) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // this very program
	// Only what a process of the cloud would have, so that nothing else decides.
	cmd.Env = []string{childSwitch + "=1", "TMPDIR=" + os.TempDir()}
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 10 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	p := &process{client: &http.Client{Timeout: 5 * time.Minute, Transport: transport()}, cmd: cmd, in: in}
	text, err := json.Marshal(s) //nolint:gosec // the stand-in's token, through a pipe to this program's own process
	if err == nil {
		_, err = in.Write(append(text, '\n'))
	}
	if err != nil {
		return nil, errors.Join(err, p.end())
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the process of %s did not start: %w", strings.Join(s.Functions, ", "), err), p.end())
	}
	p.base = "http://" + strings.TrimSpace(line)
	return p, nil
}

// end lets the process come to its end and waits for it.
func (p *process) end() error {
	_ = p.in.Close() // it may have ended by itself
	p.client.CloseIdleConnections()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("a process of the product: %w", err)
	}
	return nil
}

// call makes a request and gives the body of a 2xx answer.
func (p *process) call(ctx context.Context, method, path string, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(answer[:min(len(answer), 300)]))
	}
	return answer, nil
}

func (p *process) status(ctx context.Context) (status, error) {
	var s status
	text, err := p.call(ctx, http.MethodGet, "/bench/status", nil, nil)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func (p *process) publish(ctx context.Context, c command) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = p.call(ctx, http.MethodPost, "/bench/publish", text, nil)
	return err
}

// run does what Scheduler does.
func (p *process) run(ctx context.Context, function string) error {
	_, err := p.call(ctx, http.MethodPost, "/"+function+"/", []byte("{}"), nil)
	return err
}

// rest waits until no message is outstanding.
func (p *process) rest(ctx context.Context, most time.Duration) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		s, err := p.status(ctx)
		if err != nil || s.Outstanding == 0 {
			return s, err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return s, fmt.Errorf("%d messages are outstanding after %s: %w", s.Outstanding, most, err)
		}
	}
}

// profile saves a CPU profile of the process.
func (p *process) profile(ctx context.Context, seconds int, path string) error {
	return p.save(ctx, fmt.Sprintf("/bench/profile?seconds=%d", seconds), path)
}

// save keeps what the process answers in a file.
func (p *process) save(ctx context.Context, of, path string) error {
	text, err := p.call(ctx, http.MethodGet, of, nil, nil)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

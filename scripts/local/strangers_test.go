package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
)

// A page of any origin must not drive a local run, whose Google may be real (rule 10.16).
func TestABrowsersStrangersDriveNothing(t *testing.T) {
	a := started(t, nil)
	u, err := url.Parse(a.opts.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, host string, header map[string]string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, a.opts.BaseURL+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		for name, value := range header {
			r.Header.Set(name, value)
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return res.StatusCode, string(text)
	}
	for _, name := range []string{deployment.SyncTask, deployment.SyncEmployee, deployment.DeadLetter, deployment.Poll, deployment.Reconcile} {
		for _, path := range []string{"/" + name + "/", "/" + name} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				if status, text := ask(method, path, u.Host, nil); status != http.StatusNotFound {
					t.Errorf("%s %s: %d %s", method, path, status, text)
				}
			}
		}
	}
	for _, host := range []string{"evil.example", "evil.example:" + port, "localhost.evil.example:" + port, "localhost:1", "localhost", ""} {
		if host == "" {
			host = "."
		}
		for _, path := range []string{"/", "/Console/", "/OAuth/signin", "/Notify/", "/erp/", "/google/", "/local.css"} {
			if status, text := ask(http.MethodGet, path, host, nil); status != http.StatusMisdirectedRequest {
				t.Errorf("%s of %q: %d %s", path, host, status, text)
			}
		}
	}
	for name, header := range map[string]map[string]string{
		"another site":   {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
		"a sibling":      {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site"},
		"an old browser": {"Origin": "https://evil.example"},
		"a sandbox":      {"Origin": "null"},
	} {
		for _, path := range []string{"/run/poll", "/run/reconcile", "/Notify/", "/Console/run", "/erp/", "/erp/tasks", "/google/token"} {
			if status, text := ask(http.MethodPost, path, u.Host, header); status != http.StatusForbidden {
				t.Errorf("POST %s from %s: %d %s", path, name, status, text)
			}
		}
	}
	// What belongs here goes on.
	for _, host := range []string{"localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port, "LOCALHOST:" + port} {
		if status, text := ask(http.MethodGet, "/", host, nil); status != http.StatusOK {
			t.Errorf("the index of %s: %d %s", host, status, text)
		}
	}
	for what, path := range map[string]string{"poll": "/run/poll", "reconcile": "/run/reconcile"} {
		status, text := ask(http.MethodPost, path, u.Host, map[string]string{"Origin": a.opts.BaseURL, "Sec-Fetch-Site": "same-origin"})
		if status != http.StatusSeeOther {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
}

func TestAnAddressOthersReachIsWarnedOf(t *testing.T) {
	for addr, warned := range map[string]bool{
		"127.0.0.1:8080": false, "[::1]:8080": false, "127.3.2.1:80": false,
		"0.0.0.0:8080": true, "[::]:8080": true, "192.168.1.7:8080": true, "203.0.113.7:80": true,
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		warnOfStrangers(slog.New(slog.NewTextHandler(&log, nil)), tcp)
		if got := strings.Contains(log.String(), "level=WARN"); got != warned {
			t.Errorf("%s: the log is %q", addr, log.String())
		}
	}
}

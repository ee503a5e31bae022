package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// forward passes a browser's request on to the process that is told of changes: its
// address was not known when the redirect URI was registered.
func (b *bench) forward(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	p := b.told
	b.mu.Unlock()
	if p == nil {
		http.NotFound(w, r)
		return
	}
	to, err := url.Parse(p.base)
	if err != nil {
		http.Error(w, "no process", http.StatusBadGateway)
		return
	}
	(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}).ServeHTTP(w, r)
}

// localJar sends Secure cookies to http://127.0.0.1, as browsers do.
type localJar struct{ http.CookieJar }

func secure(u *url.URL) *url.URL {
	c := *u
	c.Scheme = "https"
	return &c
}

func (j localJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secure(u), cookies)
}

func (j localJar) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secure(u)) }

// visit follows an address to its page, consenting as the admin where Google asks.
func (b *bench) visit(ctx context.Context, client *http.Client, address string) (size int, err error) {
	for range 15 {
		if strings.HasPrefix(address, b.url+"/google/o/oauth2/") {
			if address, err = b.google.Approve(address, adminEmail); err != nil {
				return 0, fmt.Errorf("consent: %w", err)
			}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return 0, err
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil {
			return 0, err
		}
		if res.StatusCode/100 == 2 {
			return int(n), nil
		}
		next, err := res.Location()
		if err != nil {
			return 0, fmt.Errorf("%s: %s", req.URL.Path, res.Status)
		}
		address = next.String()
	}
	return 0, errors.New("too many redirects")
}

// pages is an admin who looks at the console.
func (b *bench) pages(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), 1, 1, deployment.Console, deployment.OAuth)
	if err != nil {
		return err
	}
	b.tell(p)
	jar, err := cookiejar.New(nil)
	if err != nil {
		return errors.Join(err, p.end())
	}
	client := &http.Client{Jar: localJar{jar}, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	const n = 10
	home := b.url + "/" + deployment.Console + "/"
	if _, err := b.visit(ctx, client, home); err != nil {
		return errors.Join(fmt.Errorf("sign in to the console: %w", err), p.end())
	}
	b.say("Console with %d employees, %d times each", b.employees, n)
	for _, page := range []string{"", "api/status"} {
		before, err := p.status(ctx)
		if err != nil {
			return errors.Join(err, p.end())
		}
		began, size := time.Now(), 0
		for range n {
			if size, err = b.visit(ctx, client, home+page); err != nil {
				return errors.Join(err, p.end())
			}
		}
		took := time.Since(began) / n
		after, err := p.status(ctx)
		if err != nil {
			return errors.Join(err, p.end())
		}
		b.say("  /%-24s %s, %d KiB", page, short(took), size>>10)
		b.sayOperations(after.Operations.minus(before.Operations), n, "page")
	}
	b.say("")
	return b.finish(ctx, p, deployment.Console+" and "+deployment.OAuth)
}

// deadLetters gives DeadLetter messages that gave up.
func (b *bench) deadLetters(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), 1, 1, deployment.DeadLetter)
	if err != nil {
		return err
	}
	for i := range 20 {
		ids := make([]int64, messageSize)
		for k := range ids {
			ids[k] = int64(1_000_000 + i*messageSize + k)
		}
		data, attributes, err := queue.Message{IDs: ids, Cause: queue.CauseNotify}.Encode("task-changes")
		if err != nil {
			return errors.Join(err, p.end())
		}
		attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = "100"
		attributes["CloudPubSubDeadLetterSourceSubscription"] = "sync-task"
		push, err := json.Marshal(map[string]any{
			"message":      map[string]any{"data": base64.StdEncoding.EncodeToString(data), "attributes": attributes, "messageId": "dead-" + strconv.Itoa(i)},
			"subscription": "projects/bench/subscriptions/dead-letter",
		})
		if err == nil {
			_, err = p.call(ctx, http.MethodPost, "/"+deployment.DeadLetter+"/", push, nil)
		}
		if err != nil {
			return errors.Join(err, p.end())
		}
	}
	return b.finish(ctx, p, deployment.DeadLetter)
}

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
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

// visit gives the size of the page that an address leads an admin to.
func (b *bench) visit(ctx context.Context, browser *deployment.Browser, address string) (size int, err error) {
	status, body, err := browser.Visit(ctx, address, adminEmail)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s: status %d", address, status)
	}
	return len(body), err
}

// pages is an admin who looks at the console.
func (b *bench) pages(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), 1, 1, deployment.Console, deployment.OAuth)
	if err != nil {
		return err
	}
	b.tell(p)
	browser, err := deployment.NewBrowser(b.google)
	if err != nil {
		return errors.Join(err, p.end())
	}
	const n = 10
	home := b.url + "/" + deployment.Console + "/"
	if _, err := b.visit(ctx, browser, home); err != nil {
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
			if size, err = b.visit(ctx, browser, home+page); err != nil {
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

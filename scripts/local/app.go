package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

type appOptions struct {
	BaseURL string
	State   string
	Latency time.Duration
	Lookup  func(string) (string, bool)
	Log     *slog.Logger
	// PHP sends the stand-in's notifications through the PHP connector.
	PHP bool
}

// app is the running product with its surroundings.
type app struct {
	opts       appOptions
	sides      sides
	env        func(string) (string, bool)
	store      *store.Store
	deployment *deployment.Deployment
	handler    http.Handler
	client     *http.Client
	// The stand-ins; nil where the real thing is used.
	google *fakegoogle.Server
	erp    *fakeerp.Server
	php    *connector // nil without -php

	sending sync.WaitGroup // notifications under way
	done    context.CancelFunc
}

// newApp puts the product together. The error names every variable at fault.
func newApp(ctx context.Context, o appOptions) (*app, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &app{opts: o, sides: sidesOf(o.Lookup), done: cancel, client: &http.Client{Timeout: 30 * time.Second}}
	if err := a.start(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *app) start(ctx context.Context) error {
	k := newKeys()
	if a.sides.realGoogle {
		var err error
		if k, err = keptKeys(filepath.Join(filepath.Dir(a.opts.State), "keys.json")); err != nil {
			return err
		}
	} else if err := os.Remove(a.opts.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The Google stand-in begins empty, and so must what is remembered of it.
		return fmt.Errorf("begin a new store: %w", err)
	}
	a.env = environment(a.opts.Lookup, a.opts.BaseURL, a.sides, k)
	if err := os.MkdirAll(filepath.Dir(a.opts.State), 0o700); err != nil {
		return fmt.Errorf("make the store's folder: %w", err)
	}
	backend, err := bolt.Open(a.opts.State, time.Now)
	if err != nil {
		return err
	}
	a.store = store.New(backend)
	a.deployment, err = deployment.Start(ctx, deployment.Options{
		Lookup: a.env, Store: a.store, Transport: http.DefaultTransport, Now: time.Now, Log: a.opts.Log,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	// The workers are called within this process: in the cloud, too, nobody else may.
	for _, name := range []string{deployment.Notify, deployment.OAuth, deployment.Console} {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, a.deployment.Functions[name]))
	}
	mux.HandleFunc("GET /{$}", a.index)
	mux.HandleFunc("GET /local.css", a.style)
	mux.HandleFunc("POST /run/{what}", a.runNow)
	if !a.sides.realGoogle {
		a.google = fakegoogle.New(fakegoogle.Options{
			BaseURL: a.opts.BaseURL + "/google", Now: time.Now,
			ClientID: standInClient, ClientSecret: k.Client, RedirectURIs: []string{a.opts.BaseURL + "/OAuth/callback"},
			Accounts: []fakegoogle.Account{
				{Sub: "1001", Email: standInAdmin, Name: "Admin"},
				{Sub: "1002", Email: standInAccount, Name: "Company calendars"},
			},
			Latency: a.opts.Latency, RequestsPerMinute: 600,
		})
		mux.Handle("/google/", http.StripPrefix("/google", a.google))
	}
	if !a.sides.realERP {
		zone, err := time.LoadLocation(standInZone)
		if err != nil {
			return err
		}
		if a.opts.PHP {
			if a.php, err = startConnector(ctx, a.opts.BaseURL, k.Notify); err != nil {
				return err
			}
		}
		a.erp = fakeerp.New(fakeerp.Options{
			Now: time.Now, Location: zone, APIKey: k.ERP, Generation: fakeerp.GenerationNew,
			Notify: func(changes ...fakeerp.Change) { a.notify(ctx, k.Notify, changes) },
		})
		fakeerp.SampleCompany(a.erp, time.Now())
		mux.Handle("/erp/", http.StripPrefix("/erp", a.erp))
	}
	a.handler = ownPagesOnly(mux)
	return nil
}

// notify does what the PHP connector does inside a real ERP: it signs and sends
// what changed, without holding up the dispatcher.
func (a *app) notify(ctx context.Context, secret string, changes []fakeerp.Change) {
	for _, c := range changes {
		if a.php != nil {
			// As in the ERP: inside the dispatcher's own request.
			if err := a.php.fire(ctx, c); err != nil && ctx.Err() == nil {
				a.opts.Log.WarnContext(ctx, "the ERP's page with the connector failed", "error", err)
			}
			continue
		}
		a.sending.Go(func() {
			sending, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			body, header, err := deployment.Notification(secret, c.Type, c.IDs...)
			if err == nil {
				err = a.post(sending, "/Notify/", body, header)
			}
			if err != nil && ctx.Err() == nil {
				a.opts.Log.WarnContext(ctx, "a notification was lost; the poll will find the change", "error", err)
			}
		})
	}
}

func (a *app) post(ctx context.Context, path string, body []byte, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.opts.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s: %s", path, res.Status, bytes.TrimSpace(answer))
	}
	return nil
}

// call asks a worker as Cloud Scheduler does, without a port for others to do the same.
func (a *app) call(ctx context.Context, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	answer := httptest.NewRecorder()
	a.deployment.Functions[name].ServeHTTP(answer, req)
	if answer.Code/100 != 2 {
		return fmt.Errorf("%s: %d: %s", name, answer.Code, bytes.TrimSpace(answer.Body.Bytes()))
	}
	return nil
}

// tick does what Cloud Scheduler does: Poll, here every minute.
func (a *app) tick(ctx context.Context) {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := a.call(ctx, deployment.Poll); err != nil {
				a.opts.Log.WarnContext(ctx, "poll failed", "error", err)
			}
		}
	}
}

func (a *app) runNow(w http.ResponseWriter, r *http.Request) {
	name, ok := map[string]string{"poll": deployment.Poll, "reconcile": deployment.Reconcile}[r.PathValue("what")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if err := a.call(r.Context(), name); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, "/?ran="+r.PathValue("what"), http.StatusSeeOther) //nolint:gosec // this page itself; the word is one of the two above
}

//go:embed index.html local.css
var files embed.FS

func (a *app) index(w http.ResponseWriter, r *http.Request) {
	page, err := template.ParseFS(files, "index.html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	erp, _ := a.env("ERP_URL")
	account, _ := a.env("INTEGRATION_ACCOUNT")
	ran := r.URL.Query().Get("ran")
	if ran != "poll" && ran != "reconcile" {
		ran = ""
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Cache-Control", "no-store")
	if err := page.Execute(w, map[string]any{
		"RealERP": a.sides.realERP, "RealGoogle": a.sides.realGoogle, "ERPURL": erp,
		"Account": account, "Admin": standInAdmin, "Ran": ran,
	}); err != nil {
		a.opts.Log.WarnContext(r.Context(), "index page not written", "error", err)
	}
}

func (a *app) style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "local.css")
}

func (a *app) announce(w io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	what := func(is bool) string {
		if is {
			return "real"
		}
		return "a stand-in"
	}
	say("erp-calendar runs on %s", a.opts.BaseURL)
	say("  the ERP is %s, Google is %s; state in %s", what(a.sides.realERP), what(a.sides.realGoogle), a.opts.State)
	if a.sides.realGoogle {
		say("  redirect URI to register at the OAuth client: %s/OAuth/callback", strings.TrimSuffix(a.opts.BaseURL, "/"))
	}
	if a.php != nil {
		say("  the ERP's notifications go through the PHP connector at %s", a.php.url)
	}
	say("  stop with Ctrl+C")
}

func (a *app) close() {
	a.done()
	a.sending.Wait()
	if a.php != nil {
		if err := a.php.close(); err != nil {
			a.opts.Log.Warn("ending PHP", "error", err)
		}
	}
	if a.deployment != nil {
		if err := a.deployment.Close(); err != nil {
			a.opts.Log.Warn("closing the deployment", "error", err)
		}
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.opts.Log.Warn("closing the store", "error", err)
		}
	}
}

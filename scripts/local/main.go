// Command local runs the whole product on one machine that has only Go: every
// function at /<Name>/, an embedded store in a local file, an in-process Pub/Sub,
// and stand-ins of the ERP and of Google, each with a page. With real values in
// the environment (ERP_URL, OAUTH_CLIENT_ID, …) it drives the real ERP and the
// real Google instead.
//
//	go run ./scripts/local          then open http://localhost:8080
//	go run ./scripts/local -story   no browser: plays a day and judges the calendars
//	go run ./scripts/local -php     notifications go the ERP's own way, through PHP
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.LookupEnv); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "local: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, lookup func(string) (string, bool)) error {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "address to listen on")
	state := flags.String("state", filepath.Join(".local", "state.db"), "file of the embedded store; begun anew unless Google is real")
	story := flags.Bool("story", false, "play a day without a browser, judge the calendars and exit")
	latency := flags.Duration("latency", 100*time.Millisecond, "how long the Google stand-in takes to answer")
	php := flags.Bool("php", false, "send the ERP stand-in's notifications through the PHP connector (scripts/userside)")
	verbose := flags.Bool("v", false, "show every log line, not only warnings")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *php && sidesOf(lookup).realERP {
		return errors.New("-php stands in for a real ERP's own connector: unset ERP_URL and ERP_API_KEY")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w (another run? choose -addr)", *addr, err)
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	app, err := newApp(ctx, appOptions{
		BaseURL: "http://" + publicAddr(listener.Addr()),
		State:   *state,
		Latency: *latency,
		Lookup:  lookup,
		PHP:     *php,
		Log:     slog.New(levelHandler{logging.New(os.Stderr, "local").Handler(), level}),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	warnOfStrangers(app.opts.Log, listener.Addr())
	server := &http.Server{Handler: app.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
		app.close()
	}()
	if *story {
		return playStory(ctx, app, os.Stdout)
	}
	app.announce(os.Stdout)
	go app.tick(ctx)
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		return err
	}
}

// publicAddr is how a browser reaches the listener: by the name localhost, which
// is what OAuth clients register.
func publicAddr(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && (t.IP.IsLoopback() || t.IP.IsUnspecified()) {
		return fmt.Sprintf("localhost:%d", t.Port)
	}
	return a.String()
}

// levelHandler drops what is below a level.
type levelHandler struct {
	slog.Handler
	level slog.Level
}

func (h levelHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}

// Command probe finds out how the real Google behaves where nobody has proved it
// (questions G1 to G16, product.go), for one installation: it makes one scratch
// calendar in the central account, looks, and removes it.
//
//	go run ./scripts/probe                                for a person
//	go run ./scripts/probe -share somebody@example.com    with what shares show; and
//	                                                      with -reader what they see
//	go run ./scripts/probe -json                          for a machine
//
// It must never write to anything but the scratch calendar, never revoke the central
// account's grant, and never print a token, a secret, an address or anybody's data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

const usage = `probe finds out how Google behaves towards your installation where Google documents
nothing, and whether erp-calendar is right with it. Run it once after connecting, and
again after a release that says so:

  go run ./scripts/probe -share somebody@example.com

It makes one calendar in the central account, named "erp-calendar probe …", writes
events into it, shares it with the address of -share (best one of an employee outside
your domain, if there are any; Google mails it an invitation), and removes it all, also
after a failure or Ctrl-C. It reads the list of calendars, up to five calendars of
erp-calendar, and whether it is shown the account's own calendar and who may read
that. It writes to nothing else, and prints nothing of them.

It reads from the environment:

  OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET   the OAuth client of the installation: another
                                         one sees other calendars
  INTEGRATION_ACCOUNT                    the address of the central account

Register http://localhost:8080/OAuth/callback (the port is that of -addr) as a further
redirect URI of that client. The probe prints an address; open it in a browser on this
machine and consent as the central account. The consent lasts an hour, leaves nothing
behind and does not touch the installation's own.

It takes a few minutes: up to -patience until the list of calendars shows the scratch
calendar, and up to that again until the list drops it.

Each question is right (erp-calendar is right with the answer; what it does about it is
said, and some of that asks for you), WRONG (it is not, and what it does is said), open
(not to be seen with what was given) or not found (a fault kept it from being found
out). With -json:

  {"probe": 1, "at": "<RFC 3339>", "ok": true, "calls": 60, "left_behind": [],
   "counts": {"right": 20, "wrong": 0, "open": 1, "failed": 0},
   "findings": [{"id": "zone-taken", "row": "G3", "question": "…", "answer": "taken",
     "detail": "…", "stand_in": "taken", "product": "right|wrong|open|failed",
     "does": "…", "harm": "…"}]}

Every question is there in every run, in the same order; ids and answers are stable.

Exit status: 0 right as far as was seen, 1 the product would be wrong, 2 something
could not be found out or removed, or wrong usage. "go run" prints it and ends with 1
itself: build the command where a script is to tell them apart.

Flags:
`

// surroundings are what a test replaces.
type surroundings struct {
	lookup   func(string) (string, bool)
	http     *http.Client
	now      func() time.Time
	pause    func(ctx context.Context, d time.Duration) error
	open     func(address string) // nil prints it
	terminal bool
}

// environment is what the probe reads. INTEGRATION_ACCOUNT is read by itself: the
// admins beside it are not needed.
type environment struct {
	config.OAuthClient
	config.Google
}

type options struct {
	share, zone, addr string
	reader, asJSON    bool
	patience          time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it for good
	info, err := os.Stdout.Stat()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, surroundings{
		lookup: os.LookupEnv, http: &http.Client{Timeout: callTime}, now: time.Now, pause: pause,
		terminal: err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	})
	stop()
	os.Exit(code)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run does what the command line asks for and gives the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer, with surroundings) int {
	o, code := parse(args, errs)
	if code >= 0 {
		return code
	}
	env, account, err := environmentOf(ctx, with.lookup)
	if err != nil {
		_, _ = fmt.Fprintf(errs, "probe: %v\n", err)
		return 2
	}
	if strings.EqualFold(o.share, account) {
		// Besides, taking back its consent would end the installation's own.
		_, _ = fmt.Fprintln(errs, "probe: -share is the central account itself; give another address")
		return 2
	}
	p := newProbe()
	p.account, p.zone, p.share, p.patience, p.now, p.pause = account, o.zone, o.share, o.patience, with.now, with.pause
	p.say = func(format string, args ...any) { _, _ = fmt.Fprintf(errs, format+"\n", args...) }
	consent := consenting{client: env.ID, secret: env.Secret.Text(), issuer: env.Issuer, addr: o.addr, http: with.http, now: with.now, open: with.open}
	if consent.open == nil {
		consent.open = func(address string) {
			_, _ = fmt.Fprintf(errs, "Open this in a browser on this machine, and consent:\n\n  %s\n\n", address)
		}
	}
	clientOf := func(s session) *client {
		return &client{http: with.http, endpoint: env.CalendarEndpoint, token: s.token, pause: with.pause}
	}
	if o.reader {
		p.reader = func(ctx context.Context) (*client, func(context.Context) error, error) {
			p.say("now consent as the second address, whose view is to be read …")
			s, err := consent.sign(ctx, o.share, []string{readerScope})
			if err != nil {
				return nil, nil, err
			}
			return clientOf(s), func(ctx context.Context) error { return consent.revoke(ctx, s) }, nil
		}
	}
	found := report{Probe: 1, At: with.now().UTC().Truncate(time.Second), LeftBehind: []string{}}
	session, err := consent.sign(ctx, account, googlecalendar.Scopes())
	if err != nil {
		p.accountWide(err)
		p.failRest(err)
	} else {
		p.google = clientOf(session)
		found.LeftBehind = append(found.LeftBehind, p.run(ctx)...)
		found.Calls = p.google.calls
	}
	found.Findings = p.findings
	found.count()
	write := found.forPeople
	if o.asJSON {
		write = found.forMachines
	}
	if err := write(out, with.terminal); err != nil {
		_, _ = fmt.Fprintf(errs, "probe: write the findings: %v\n", err)
		return 2
	}
	return found.status()
}

// readerScope is what the second address is asked for.
const readerScope = "https://www.googleapis.com/auth/calendar.events.readonly"

// parse reads the command line; code is the exit status, or negative to go on.
func parse(args []string, errs io.Writer) (o options, code int) {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		_, _ = io.WriteString(errs, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.share, "share", "", "second `address`, with which the scratch calendar is shared for a moment")
	flags.BoolVar(&o.reader, "reader", false, "have the second address consent too, read what it sees, and take its consent back")
	flags.StringVar(&o.zone, "zone", "Europe/Kyiv", "IANA `name` of the installation's time zone")
	flags.StringVar(&o.addr, "addr", "localhost:8080", "loopback `address` at which the browser comes back")
	flags.DurationVar(&o.patience, "patience", 15*time.Minute, "how long to wait for the list of calendars")
	flags.BoolVar(&o.asJSON, "json", false, "write the findings as JSON")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, 0
	case err != nil:
		return o, 2
	}
	problem := ""
	switch _, err := time.LoadLocation(o.zone); {
	case flags.NArg() > 0:
		problem = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case err != nil || o.zone == "" || o.zone == "Local":
		problem = fmt.Sprintf("-zone %q is no time zone", o.zone)
	case o.share != "" && !calendarsync.ValidAddress(o.share):
		problem = "-share is no address"
	case o.reader && o.share == "":
		problem = "-reader needs -share"
	}
	if problem != "" {
		_, _ = fmt.Fprintf(errs, "probe: %s; see -h\n", problem)
		return o, 2
	}
	return o, -1
}

func environmentOf(ctx context.Context, lookup func(string) (string, bool)) (environment, string, error) {
	env, err := config.Load[environment](ctx, lookup)
	if err != nil {
		return env, "", err
	}
	account, _ := lookup("INTEGRATION_ACCOUNT")
	if !calendarsync.ValidAddress(account) {
		return env, "", errors.New("INTEGRATION_ACCOUNT: set it to the address of the central account")
	}
	return env, account, nil
}

// Command doctor examines an installation and says, for each thing it checked, how
// it is and what to do about it. It is given the functions' environment
// (functions/README.md, Configuration), and asks the ERP, Google and the project's Firestore,
// Pub/Sub and KMS:
//
//	go run ./scripts/doctor          for a person
//	go run ./scripts/doctor -json    for a machine; the form is that of report below
//
// Exit status: 0 no fault, 1 at least one fault, 2 wrong usage. Warnings and what
// could not be checked do not count as faults.
//
// It must never change anything: no message published, no document, event, share
// or field written, nothing asked of the ERP that leaves a trace (show never
// carries employee_id). And it must never print a secret, a token or anything of a
// person: its sentences are its own, with counts and ids of settings in them.
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
	"syscall"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
)

const usage = `doctor examines an installation of erp-calendar: it asks the ERP, Google and the
project's Firestore, Pub/Sub and KMS, says what it found and what to do about it.
It changes nothing and prints no secret and nobody's data.

  go run ./scripts/doctor          for a person
  go run ./scripts/doctor -json    for a machine

It reads the variables that the functions read (README, Configuration) from the
environment, and those that are not there from a file of lines NAME=value:

  go run ./scripts/doctor -env functions.env

A variable that is missing stops only the checks that need it. What a deployed
function has: gcloud run services describe NAME --region=REGION (sync-task, console
and notify have all of them together), and for each secret: gcloud secrets versions
access latest --secret=NAME. Keep such a file to yourself (chmod 600) and delete it
afterwards.

Firestore, Pub/Sub and KMS are asked as you: "gcloud auth application-default login"
first. The ERP sees this machine's address, not the functions'.

Each check is ok, a warning, a fault, or not checked, with the reason. With -json:

  {"doctor": 1, "at": "<RFC 3339>", "ok": true, "redirect_uri": "https://…",
   "counts": {"ok": 1, "warning": 0, "fault": 0, "not_checked": 0},
   "checks": [{"id": "erp.clock", "group": "ERP", "title": "clock and zone",
     "state": "ok|warning|fault|not-checked", "text": "…", "cure": "…",
     "because": "<id of the check that stopped this one>",
     "details": ["…"], "data": {…}, "milliseconds": 12}]}

cure (a step on each line), because, details and data are left out where there are
none. Every check is there in every run, in the same order; ids are stable. data of
erp.states: {"roles": [{"role", "shown", "states"}]}; of employees.fields: {"fields":
[{"id", "caption", "kind", "cards", "filled", "use"}]}; of employees.calendars:
{"employees", "with_calendar", "sharing_an_address", "without_by_reason": {…}}.

Exit status: 0 no fault, 1 at least one fault, 2 wrong usage.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, surroundings{
		lookup: os.LookupEnv, transport: http.DefaultTransport, now: time.Now,
		terminal: isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		database: func(ctx context.Context, c config.Store) (store.Backend, error) {
			return firestore.New(ctx, c.Project, c.Database)
		},
		topics: func(ctx context.Context, project string) (topicReader, error) { return cloud.Publisher(ctx, project) },
		cipher: cloud.Cipher,
	})
	stop()
	os.Exit(code)
}

// run does what the command line asks for and gives the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer, with surroundings) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		_, _ = io.WriteString(errs, usage)
		flags.PrintDefaults()
	}
	file := flags.String("env", "", "`file` of further variables, NAME=value on each line")
	asJSON := flags.Bool("json", false, "write the findings as JSON")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(errs, "doctor: unexpected argument %q; see -h\n", flags.Arg(0))
		return 2
	}
	if *file != "" {
		variables, err := variablesOf(*file)
		if err != nil {
			_, _ = fmt.Fprintf(errs, "doctor: %v\n", err)
			return 2
		}
		with.lookup = over(with.lookup, variables)
	}
	texts, err := i18n.Load()
	if err != nil {
		_, _ = fmt.Fprintf(errs, "doctor: %v\n", err)
		return 2
	}
	d := newDoctor(with, texts.For(i18n.Default))
	defer d.close()
	found := report{
		Doctor: 1, At: with.now().UTC().Truncate(time.Second), Checks: checkup.Run(ctx, d.checks(), d.Texts, with.now),
	}
	if ctx.Err() != nil {
		// A check that was cut off looks like a fault of the other side.
		_, _ = fmt.Fprintln(errs, "doctor: interrupted")
		return 1
	}
	found.RedirectURI = d.redirectURI
	found.count()
	write := found.forPeople
	if *asJSON {
		write = found.forMachines
	}
	if err := write(out, with.terminal); err != nil {
		_, _ = fmt.Fprintf(errs, "doctor: write the findings: %v\n", err)
		return 1
	}
	if !found.OK {
		return 1
	}
	return 0
}

// isTerminal reports whether a person looks at the output.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

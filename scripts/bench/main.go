// Command bench runs a whole company on the stand-ins and the embedded store and
// prints what the product costs: a first fill and a nightly run with live changes
// beside each, calls to Google and to the ERP against the ideal number, Firestore
// operations per change, poll and page of the console, and the peak memory of each
// function in a process of its own. It ends non-zero where a promise is not kept, and
// writes only into a temporary folder.
//
//	go run ./scripts/bench           1,000 employees, 20,000 tasks: eight to ten minutes
//	go run ./scripts/bench -quick    50 employees, 500 tasks: some seconds
//	go run ./scripts/bench -apart    small companies at Google's own limit: four minutes
//	go run ./scripts/bench -fill     a first fill, the poll after it and single changes
//
// At the end it prints goals beside figures. Firestore's round trips are counted where
// FIRESTORE_EMULATOR_HOST names its emulator.
//
// Google's limit is raised by a factor (-scale), and with it the number of
// instances; the rules stay. It must never judge by the product's own word: what is
// right is read from the stand-ins.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if os.Getenv(childSwitch) != "" {
		err = serveChild(ctx, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

// run reads the arguments and runs the bench.
func run(ctx context.Context, args []string, out io.Writer) error {
	o := options{out: out}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.employees, "employees", 1000, "employees, each with a calendar")
	flags.IntVar(&o.tasks, "tasks", 20000, "open tasks")
	flags.IntVar(&o.scale, "scale", 12, "factor on Google's 600 requests a minute and on the number of instances")
	flags.DurationVar(&o.latency, "latency", 100*time.Millisecond, "how long the Google stand-in takes to answer")
	flags.DurationVar(&o.every, "live", 500*time.Millisecond, "time between two live changes")
	flags.DurationVar(&o.real, "real", 30*time.Second, "how long to run at Google's own limit")
	flags.StringVar(&o.profile, "profile", "", "save a CPU profile of the first fill's product under this name")
	flags.StringVar(&o.allocations, "allocations", "", "save a profile of what the first fill's product allocated under this name")
	flags.BoolVar(&o.fillOnly, "fill", false, "only the first fill, the poll after it and single changes")
	flags.BoolVar(&o.apartOnly, "apart", false, "only what needs no large company: Notify's handler, Firestore's round trips, small companies")
	quick := flags.Bool("quick", false, "a smoke test: 50 employees, 500 tasks, unless others are given")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *quick {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		o.quick(given)
	}
	if o.employees < 2 || o.tasks < o.employees || o.scale < 1 || o.scale > 1000 || o.employees > 10000 {
		return errors.New("-employees is 2 to 10000, -tasks at least as many, -scale 1 to 1000")
	}
	return measure(ctx, o)
}

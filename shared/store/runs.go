package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A full run looks at every employee. Its messages are its parts, and each part
// counts in a document of its own: Firestore takes about one write a second to
// one document, and several messages are worked on at a time.

// RunTally is what a full run, or one part of it, came to so far.
type RunTally struct {
	// Done counts the employees looked at, Failed those among them whose look
	// failed or whose message gave up: their own key is tried again.
	Done   int64 `firestore:"done" json:"done"`
	Failed int64 `firestore:"failed,omitempty" json:"failed,omitempty"`
	// Repaired counts the writes to Google that were made.
	Repaired int64 `firestore:"repaired" json:"repaired"`
	// Drift counts what was found otherwise than it had been left, by kind;
	// Fields counts the fields of events that somebody had changed, by name. What
	// was in them is never kept (rules 8.4 and 10.3).
	Drift  map[string]int64 `firestore:"drift,omitempty" json:"drift,omitempty"`
	Fields map[string]int64 `firestore:"fields,omitempty" json:"fields,omitempty"`
}

func (t *RunTally) add(o RunTally) {
	t.Done += o.Done
	t.Failed += o.Failed
	t.Repaired += o.Repaired
	t.Drift = sum(t.Drift, o.Drift)
	t.Fields = sum(t.Fields, o.Fields)
}

// sum adds counts into a map of its own: records are handed out.
func sum(a, b map[string]int64) map[string]int64 {
	if len(b) == 0 {
		return a
	}
	out := make(map[string]int64, len(a)+len(b))
	for _, m := range []map[string]int64{a, b} {
		for k, n := range m {
			out[k] += n
		}
	}
	return out
}

// RunRecord is one full run: of Reconcile, or one that the console started.
type RunRecord struct {
	ID      string    `firestore:"id" json:"id"`
	Cause   string    `firestore:"cause" json:"cause"`
	Started time.Time `firestore:"started" json:"started"`
	Ended   time.Time `firestore:"ended,omitempty" json:"ended,omitzero"`
	// Superseded names the later run that looks at everybody instead.
	Superseded string `firestore:"superseded,omitempty" json:"superseded,omitempty"`
	// Total is how many employees there are to look at, in Parts messages, of
	// which those in Complete are through.
	Total    int64   `firestore:"total" json:"total"`
	Parts    int64   `firestore:"parts" json:"parts"`
	Complete []int64 `firestore:"complete,omitempty" json:"complete,omitempty"`
	// RunTally is that of the complete parts; Runs adds those under way.
	RunTally
	ExpiresAt time.Time `firestore:"expires_at,omitempty" json:"expires_at,omitzero"`
}

// Remaining estimates how long a run under way still takes, at its pace so far;
// 0 before anything is done and after its end.
func (r RunRecord) Remaining(now time.Time) time.Duration {
	if !r.Ended.IsZero() || r.Done == 0 || r.Done >= r.Total || !now.After(r.Started) {
		return 0
	}
	return time.Duration(float64(now.Sub(r.Started)) * float64(r.Total-r.Done) / float64(r.Done))
}

// RunPart is one message of a full run and who of it has been looked at.
type RunPart struct {
	ID     string `firestore:"id" json:"id"`
	Run    string `firestore:"run" json:"run"`
	Number int64  `firestore:"number" json:"number"`
	Total  int64  `firestore:"total" json:"total"`
	// Employees are those counted: a message that comes again counts nobody twice.
	Employees []int64 `firestore:"employees,omitempty" json:"employees,omitempty"`
	// Unfinished are the looks counted of employees who were not through.
	Unfinished map[string]int64 `firestore:"unfinished,omitempty" json:"unfinished,omitempty"`
	RunTally
	ExpiresAt time.Time `firestore:"expires_at,omitempty" json:"expires_at,omitzero"`
}

// RunResult is what the look at one employee of a run came to.
type RunResult struct {
	Employee int64
	// Unfinished names, by its lease's token, a look after which another message
	// goes on with the employee: what it came to counts, the employee does not yet.
	Unfinished string
	Failed     bool
	Repaired   int64
	Drift      map[string]int64
	Fields     map[string]int64
}

// runKept is how long a run is remembered.
const runKept = ActivityKept

func runRef(id string) Ref            { return Ref{Runs, id} }
func runPartRef(part string) Ref      { return Ref{RunParts, part} }
func latestRunRef() Ref               { return Ref{Runs, "latest"} }
func lastRunRef(cause string) Ref     { return Ref{Runs, "last-" + cause} }
func partID(run string, n int) string { return fmt.Sprintf("%s-%04d", run, n) }

// runPointer is a document beside the runs that names one of them; it has no
// started, so no list of runs shows it.
type runPointer struct {
	ID string `firestore:"id" json:"id"`
}

// StartRun begins a full run in parts of the given sizes and gives the names of
// its parts; one of no employees has ended. A run still under way ends: the new
// one looks at everybody it had left. Started again, a run stays as it is.
func (s *Store) StartRun(ctx context.Context, id, cause string, sizes []int) (parts []string, err error) {
	// What the one before came to is summed up outside: it only loses what is
	// counted in this very moment.
	var latest runPointer
	var before RunRecord
	if _, err := s.b.Get(ctx, latestRunRef(), &latest); err != nil {
		return nil, fmt.Errorf("start run %s: %w", id, err)
	}
	if latest.ID != "" && latest.ID != id {
		if before, _, err = s.run(ctx, latest.ID); err != nil {
			return nil, fmt.Errorf("start run %s: %w", id, err)
		}
	}
	var total int64
	for n, size := range sizes {
		total += int64(size)
		parts = append(parts, partID(id, n))
	}
	err = s.b.Transact(ctx, func(tx Tx) error {
		var run RunRecord
		found, err := tx.Get(runRef(id), &run)
		if err != nil || found {
			return err // found: the message came again, or the answer was lost
		}
		now := tx.Now()
		var pointer runPointer
		if _, err := tx.Get(latestRunRef(), &pointer); err != nil {
			return err
		}
		var last RunRecord
		if pointer.ID != "" {
			if found, err = tx.Get(runRef(pointer.ID), &last); err != nil {
				return err
			}
		}
		if found && last.Ended.IsZero() {
			last.Ended, last.Superseded = now, id
			if before.ID == last.ID {
				last.RunTally = before.RunTally
			}
			if err := tx.Set(runRef(last.ID), &last); err != nil {
				return err
			}
		}
		run = RunRecord{ID: id, Cause: cause, Started: now, Total: total, Parts: int64(len(sizes)), ExpiresAt: now.Add(runKept)}
		if total == 0 {
			run.Ended = now
		}
		for n, size := range sizes {
			part := RunPart{ID: parts[n], Run: id, Number: int64(n), Total: int64(size), ExpiresAt: run.ExpiresAt}
			if err := tx.Set(runPartRef(parts[n]), &part); err != nil {
				return err
			}
		}
		for _, ref := range []Ref{latestRunRef(), lastRunRef(cause)} {
			if err := tx.Set(ref, &runPointer{ID: id}); err != nil {
				return err
			}
		}
		return tx.Set(runRef(id), &run)
	})
	if err != nil {
		return nil, fmt.Errorf("start run %s: %w", id, err)
	}
	return parts, nil
}

// AdvanceRun counts employees of a part as done, each once however often it is
// told; the last one of the last part ends the run. over tells that the run has
// ended or was superseded: nothing more need be done for it. A part that nobody
// knows (any more) is left alone.
func (s *Store) AdvanceRun(ctx context.Context, part string, results ...RunResult) (over bool, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		over = false
		var p RunPart
		found, err := tx.Get(runPartRef(part), &p)
		if err != nil || !found {
			return err
		}
		var run RunRecord
		if _, err := tx.Get(runRef(p.Run), &run); err != nil {
			return err
		}
		if !run.Ended.IsZero() {
			over = true
			return nil
		}
		counted := false
		for _, r := range results {
			counted = p.count(r) || counted
		}
		if !counted {
			return nil
		}
		if p.Done >= p.Total && !slices.Contains(run.Complete, p.Number) {
			run.Complete = append(run.Complete, p.Number)
			slices.Sort(run.Complete)
			run.add(p.RunTally)
			if int64(len(run.Complete)) == run.Parts {
				run.Ended, over = tx.Now(), true
			}
			if err := tx.Set(runRef(run.ID), &run); err != nil {
				return err
			}
		}
		return tx.Set(runPartRef(part), &p)
	})
	if err != nil {
		return false, fmt.Errorf("advance run part %s: %w", part, err)
	}
	return over, nil
}

// count adds what is not counted yet.
func (p *RunPart) count(r RunResult) bool {
	t := RunTally{Repaired: r.Repaired, Drift: r.Drift, Fields: r.Fields}
	at, known := slices.BinarySearch(p.Employees, r.Employee)
	switch {
	case known || p.Unfinished[r.Unfinished] > 0:
		return false
	case r.Unfinished != "":
		p.Unfinished = sum(p.Unfinished, map[string]int64{r.Unfinished: 1})
	default:
		p.Employees = slices.Insert(p.Employees, at, r.Employee)
		t.Done = 1
		if r.Failed {
			t.Failed = 1
		}
	}
	p.add(t)
	return true
}

// RunPart tells which employees of a part are done, ascending, and whether its run
// has ended or was superseded.
func (s *Store) RunPart(ctx context.Context, part string) (done []int64, over bool, err error) {
	var p RunPart
	found, err := s.b.Get(ctx, runPartRef(part), &p)
	if err != nil || !found {
		return nil, false, wrapped("read run part "+part, err)
	}
	var run RunRecord
	if _, err = s.b.Get(ctx, runRef(p.Run), &run); err != nil {
		return nil, false, wrapped("read run "+p.Run, err)
	}
	return p.Employees, !run.Ended.IsZero(), nil
}

func wrapped(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

// LastRun reads the latest full run of a cause with what it came to so far; found
// is false before the first.
func (s *Store) LastRun(ctx context.Context, cause string) (run RunRecord, found bool, err error) {
	var last runPointer
	if found, err = s.b.Get(ctx, lastRunRef(cause), &last); err == nil && found {
		run, found, err = s.run(ctx, last.ID)
	}
	if err != nil {
		return RunRecord{}, false, fmt.Errorf("read the last run of cause %s: %w", cause, err)
	}
	return run, found, nil
}

// Runs lists the latest full runs, whatever their cause, the latest first, with
// what each came to so far.
func (s *Store) Runs(ctx context.Context, limit int) ([]RunRecord, error) {
	runs, err := query[RunRecord](ctx, s.b, Query{Collection: Runs, Field: "started", Op: Exists, Descending: true, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	for i := range runs {
		if err := s.tally(ctx, &runs[i]); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
	}
	return runs, nil
}

func (s *Store) run(ctx context.Context, id string) (run RunRecord, found bool, err error) {
	if found, err = s.b.Get(ctx, runRef(id), &run); err != nil || !found {
		return run, false, err
	}
	return run, true, s.tally(ctx, &run)
}

// tally sums up the parts of a run under way; one that has ended knows its sum.
func (s *Store) tally(ctx context.Context, run *RunRecord) error {
	if !run.Ended.IsZero() {
		return nil
	}
	parts, err := query[RunPart](ctx, s.b, Query{Collection: RunParts, Field: "run", Op: Equal, Value: run.ID})
	if err != nil {
		return err
	}
	run.RunTally = RunTally{}
	for _, p := range parts {
		run.add(p.RunTally)
	}
	return nil
}

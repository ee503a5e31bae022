package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A full run passes over every employee. Its messages are its parts, and each part
// counts in a document of its own: Firestore takes about one write a second to
// one document, and several messages are worked on at a time.

// RunTally is what a full run, or one part of it, came to so far.
type RunTally struct {
	// Done counts the employees passed over, Failed those among them whose pass
	// failed or whose message gave up: their own key is tried again.
	Done   int64 `firestore:"done" json:"done"`
	Failed int64 `firestore:"failed,omitempty" json:"failed,omitempty"`
	// Repaired counts the writes to Google that were made.
	Repaired int64 `firestore:"repaired" json:"repaired"`
	// Drift counts what was found otherwise than it had been written, by kind;
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
	// Superseded names the later run that passes over everybody instead.
	Superseded string `firestore:"superseded,omitempty" json:"superseded,omitempty"`
	// Total is how many employees there are to pass over, in Parts messages, of
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

// RunPart is one message of a full run and who of it is done.
type RunPart struct {
	ID     string `firestore:"id" json:"id"`
	Run    string `firestore:"run" json:"run"`
	Number int64  `firestore:"number" json:"number"`
	Total  int64  `firestore:"total" json:"total"`
	// Employees are those counted: a message that comes again counts nobody twice.
	Employees []int64 `firestore:"employees,omitempty" json:"employees,omitempty"`
	// Unfinished are the passes counted of employees who were not through.
	Unfinished map[string]int64 `firestore:"unfinished,omitempty" json:"unfinished,omitempty"`
	RunTally
	ExpiresAt time.Time `firestore:"expires_at,omitempty" json:"expires_at,omitzero"`
}

// RunResult is what the pass over one employee of a run came to.
type RunResult struct {
	Employee int64
	// Unfinished names, by its lease's token, a pass after which another message
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
// one passes over everybody who was not done in it. Started again, a run stays as it
// is. What the run before came to is summed up ahead of the transaction.
func (s *Store) StartRun(ctx context.Context, id, cause string, sizes []int) (parts []string, err error) {
	doing := "start run " + id
	before, err := s.runBefore(ctx, id)
	if err != nil {
		return nil, wrapped(doing, err)
	}
	var total int64
	for n, size := range sizes {
		total += int64(size)
		parts = append(parts, partID(id, n))
	}
	err = s.transact(ctx, doing, func(tx Tx) error {
		var run RunRecord
		if found, err := tx.Get(runRef(id), &run); err != nil || found {
			return err // found: the message came again, or the answer was lost
		}
		last, underWay, err := latestRun(tx)
		if err != nil {
			return err
		}
		now := tx.Now()
		if underWay {
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
		return run.begin(tx, sizes)
	})
	if err != nil {
		return nil, err
	}
	return parts, nil
}

// runBefore sums up the run that the run id supersedes; the zero value if there is
// none. It loses only what is counted in this very moment.
func (s *Store) runBefore(ctx context.Context, id string) (before RunRecord, err error) {
	var latest runPointer
	if _, err := s.b.Get(ctx, latestRunRef(), &latest); err != nil || latest.ID == "" || latest.ID == id {
		return before, err
	}
	before, _, err = s.run(ctx, latest.ID)
	return before, err
}

// latestRun reads the latest run in a transaction and tells whether it is under way.
func latestRun(tx Tx) (run RunRecord, underWay bool, err error) {
	var latest runPointer
	if _, err := tx.Get(latestRunRef(), &latest); err != nil || latest.ID == "" {
		return run, false, err
	}
	found, err := tx.Get(runRef(latest.ID), &run)
	return run, found && run.Ended.IsZero(), err
}

// begin writes a new run, its parts and the pointers to it.
func (r *RunRecord) begin(tx Tx, sizes []int) error {
	for n, size := range sizes {
		part := RunPart{ID: partID(r.ID, n), Run: r.ID, Number: int64(n), Total: int64(size), ExpiresAt: r.ExpiresAt}
		if err := tx.Set(runPartRef(part.ID), &part); err != nil {
			return err
		}
	}
	for _, ref := range []Ref{latestRunRef(), lastRunRef(r.Cause)} {
		if err := tx.Set(ref, &runPointer{ID: r.ID}); err != nil {
			return err
		}
	}
	return tx.Set(runRef(r.ID), r)
}

// AdvanceRun counts employees of a part as done, each once however often it is
// told; the last one of the last part ends the run. over tells that the run has
// ended or was superseded: nothing more need be done for it. A part that nobody
// knows (any more) is ignored.
func (s *Store) AdvanceRun(ctx context.Context, part string, results ...RunResult) (over bool, err error) {
	err = s.transact(ctx, "advance run part "+part, func(tx Tx) error {
		over = false
		var p RunPart
		if found, err := tx.Get(runPartRef(part), &p); err != nil || !found {
			return err
		}
		var run RunRecord
		if _, err := tx.Get(runRef(p.Run), &run); err != nil {
			return err
		}
		if over = !run.Ended.IsZero(); over || !p.count(results) {
			return nil
		}
		if run.complete(&p) {
			if int64(len(run.Complete)) == run.Parts {
				run.Ended, over = tx.Now(), true
			}
			if err := tx.Set(runRef(run.ID), &run); err != nil {
				return err
			}
		}
		return tx.Set(runPartRef(part), &p)
	})
	return over && err == nil, err
}

// complete counts a part whose employees are all done into the run, once.
func (r *RunRecord) complete(p *RunPart) bool {
	if p.Done < p.Total || slices.Contains(r.Complete, p.Number) {
		return false
	}
	r.Complete = append(r.Complete, p.Number)
	slices.Sort(r.Complete)
	r.add(p.RunTally)
	return true
}

// count adds the results that are not counted yet; false if all are.
func (p *RunPart) count(results []RunResult) (counted bool) {
	for _, r := range results {
		counted = p.countOne(r) || counted
	}
	return counted
}

func (p *RunPart) countOne(r RunResult) bool {
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
// has ended or was superseded. It is two reads.
func (s *Store) RunPart(ctx context.Context, part string) (done []int64, over bool, err error) {
	p, found, err := get[RunPart](ctx, s, "read run part "+part, runPartRef(part))
	if err != nil || !found {
		return nil, false, err
	}
	run, _, err := get[RunRecord](ctx, s, "read run "+p.Run, runRef(p.Run))
	if err != nil {
		return nil, false, err
	}
	return p.Employees, !run.Ended.IsZero(), nil
}

// LastRun reads the latest full run of a cause with what it came to so far; found
// is false before the first. It reads the run's parts one moment later.
func (s *Store) LastRun(ctx context.Context, cause string) (run RunRecord, found bool, err error) {
	var last runPointer
	if found, err = s.b.Get(ctx, lastRunRef(cause), &last); err == nil && found {
		run, found, err = s.run(ctx, last.ID)
	}
	if err != nil {
		return RunRecord{}, false, wrapped("read the last run of cause "+cause, err)
	}
	return run, found, nil
}

// Runs lists the latest full runs, whatever their cause, the latest first, with
// what each came to so far; limit 0 means all.
func (s *Store) Runs(ctx context.Context, limit int) ([]RunRecord, error) {
	runs, err := query[RunRecord](ctx, s, "list runs", Query{Collection: Runs, Field: "started", Op: Exists, Descending: true, Limit: limit})
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if err := s.tally(ctx, &runs[i]); err != nil {
			return nil, wrapped("list runs", err)
		}
	}
	return runs, nil
}

// CompleteRunSince reports whether a full run that passed over everybody ended at a
// time or after; one that a later run superseded did not.
func (s *Store) CompleteRunSince(ctx context.Context, since time.Time) (bool, error) {
	runs, err := query[RunRecord](ctx, s, "look for a complete run", Query{Collection: Runs, Field: "ended", Op: AtLeast, Value: since})
	return slices.ContainsFunc(runs, func(r RunRecord) bool { return r.Superseded == "" }), err
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
	parts, err := query[RunPart](ctx, s, "sum up run "+run.ID, Query{Collection: RunParts, Field: "run", Op: Equal, Value: run.ID})
	if err != nil {
		return err
	}
	run.RunTally = RunTally{}
	for _, p := range parts {
		run.add(p.RunTally)
	}
	return nil
}

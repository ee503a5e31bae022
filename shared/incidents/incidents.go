// Package incidents tells what hits one call at Google from what hits the whole
// account (rule 7.7): it hears how every call ends, opens an incident on the account's
// record and ends it, and keeps calls back while one is open, but for one probe a
// minute. It must never hold back a call while no incident is open, and never write
// anything while calls succeed and nothing is suspected.
package incidents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// probeEvery is how often one caller is let through while an incident is open.
	probeEvery = time.Minute
	// notedFor is for how long a process does not note again that a key was refused.
	notedFor = 10 * time.Minute
	// maxNoted bounds what a process remembers of that.
	maxNoted = 1000
)

// Account gives the account, which may be some seconds old, until Reread.
type Account interface {
	Account(ctx context.Context) (store.AccountRecord, error)
	// Reread has the next Account read the store.
	Reread()
}

// Store keeps incidents on the account's record.
type Store interface {
	// RaiseIncident opens an incident.
	RaiseIncident(ctx context.Context, sub string, r store.Refusal) error
	// SuspectIncident notes a key's refusal, and opens an incident where enough agree.
	SuspectIncident(ctx context.Context, sub string, r store.Refusal, key string, afresh bool) (opened bool, err error)
	// ProbeIncident lets one caller through every so often.
	ProbeIncident(ctx context.Context, sub string, every time.Duration) (granted, open bool, err error)
	// EndIncident ends what a success shows to be over.
	EndIncident(ctx context.Context, sub, at string) error
}

// Watch is one process's look at its account's incidents. It is safe for concurrent
// use; a nil Watch knows of none.
type Watch struct {
	store   Store
	account Account
	now     func() time.Time
	log     *slog.Logger

	mu sync.Mutex
	// probing is until when this process has the probe.
	probing time.Time
	// noted is when a key's refusal was noted last.
	noted map[note]time.Time
	// succeeded are the methods of which a call succeeded since a refusal was noted.
	succeeded map[string]bool
}

type note struct {
	store.Refusal
	key string
}

// New makes a Watch.
func New(s Store, account Account, now func() time.Time, log *slog.Logger) *Watch {
	return &Watch{store: s, account: account, now: now, log: log, noted: map[note]time.Time{}, succeeded: map[string]bool{}}
}

// Verdict is what an incident means for one caller. The zero value is that none is open.
type Verdict struct {
	// KeptBack is why the caller must not go on, nil if it may.
	KeptBack error
	// Probing tells that one is open, and the caller is let through with one key, to see
	// whether it lasts.
	Probing bool
	// Until is when a caller who is kept back may be let through.
	Until time.Time
}

// Stop reports whether keys may be passed over: not while an incident is open that lets
// nothing be written.
func (w *Watch) Stop(ctx context.Context) Verdict {
	if w == nil {
		return Verdict{}
	}
	if a, known := w.known(ctx); known && a.Incident.StopsAll() {
		return w.probe(ctx, a)
	}
	return Verdict{}
}

// Open reports whether an incident is known that lets nothing be written.
func (w *Watch) Open(ctx context.Context) bool {
	if w == nil {
		return false
	}
	a, known := w.known(ctx)
	return known && a.Incident.StopsAll()
}

// Admit reports why a method may not be called: an incident that concerns it.
func (w *Watch) Admit(ctx context.Context, method string) error {
	if w == nil {
		return nil
	}
	a, known := w.known(ctx)
	if !known || !a.Incident.Concerns(method) || w.isProbing() {
		return nil
	}
	return w.probe(ctx, a).KeptBack
}

// known gives the account. Where it cannot be used, the caller finds out by itself: who
// asks for a token is told what is wrong.
func (w *Watch) known(ctx context.Context) (a store.AccountRecord, known bool) {
	a, err := w.account.Account(ctx)
	return a, err == nil
}

func (w *Watch) isProbing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now().Before(w.probing)
}

func (w *Watch) setProbing(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probing = until
}

func (w *Watch) probe(ctx context.Context, a store.AccountRecord) Verdict {
	next := w.now().Add(probeEvery)
	granted, open, err := w.store.ProbeIncident(ctx, a.Sub, probeEvery)
	switch {
	case err != nil:
		return Verdict{KeptBack: failure.Wrap(failure.Transient, "probe the incident", err), Until: next}
	case !open:
		w.account.Reread()
		return Verdict{}
	case !granted:
		return Verdict{KeptBack: Refused(a.Incident.Refusal), Until: next}
	}
	w.setProbing(next)
	w.log.InfoContext(ctx, "one call is let through to see whether the incident lasts", "at", a.Incident.At, "status", a.Incident.Status, "reason", a.Incident.Reason)
	return Verdict{Probing: true}
}

// Refused is the failure of what an incident keeps back.
func Refused(r store.Refusal) error {
	return &failure.Error{Kind: failure.Misconfigured, AccountWide: true, Op: "ask Google", Status: r.Status, Reason: r.Reason,
		Detail: "Google refuses the whole account; it is asked again once a minute"}
}

// Called hears how a call of a method about a key ended, and gives the error on: what
// an incident explains is of kind misconfigured and marked as the account's, so that the
// key waits for its end and not for its own back-off.
func (w *Watch) Called(ctx context.Context, method, key string, err error) error {
	if w == nil {
		return err
	}
	if err == nil {
		w.worked(ctx, method)
		return nil
	}
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Status == 0 {
		return err // no answer of Google's
	}
	if _, before := errors.AsType[*failure.Error](f.Err); before {
		return err // the token or the budget failed, and the call was not made
	}
	switch {
	case f.AccountWide && f.Reason == failure.ReasonZone:
		w.raise(ctx, store.Refusal{At: store.AtZone, Status: f.Status, Reason: f.Reason})
	case f.AccountWide:
		w.raise(ctx, store.Refusal{At: store.AtAPI, Status: f.Status, Reason: f.Reason})
	case mayAgree(f):
		if w.suspect(ctx, store.Refusal{At: method, Status: f.Status, Reason: f.Reason}, key) {
			g := *f
			g.Kind, g.AccountWide = failure.Misconfigured, true
			return &g
		}
	}
	return err
}

// ZoneTaken hears that Google took a write that names a zone.
func (w *Watch) ZoneTaken(ctx context.Context) {
	if w != nil {
		w.worked(ctx, store.AtZone)
	}
}

// mayAgree reports whether a failure of many keys would be the account's: Google
// answered, refused for good, and not because of what there is.
func mayAgree(f *failure.Error) bool {
	switch f.Kind {
	case failure.Forbidden, failure.Invalid:
		return true
	default:
		return f.Kind == failure.Transient && f.Status == http.StatusUnauthorized
	}
}

func (w *Watch) raise(ctx context.Context, r store.Refusal) {
	w.setProbing(time.Time{})
	a, known := w.known(ctx)
	if !known || a.Incident.Concerns(r.At) && a.Incident.Explains(r) {
		return
	}
	if err := w.store.RaiseIncident(ctx, a.Sub, r); err != nil {
		// The next call that is refused raises it.
		w.log.WarnContext(ctx, "could not record an incident of the account", "at", r.At, "status", r.Status, "reason", r.Reason, "error", err)
		return
	}
	w.account.Reread()
	w.log.WarnContext(ctx, "Google refuses the account", "at", r.At, "status", r.Status, "reason", r.Reason)
}

// suspect notes a key's refusal, and reports whether an open incident explains it.
func (w *Watch) suspect(ctx context.Context, r store.Refusal, key string) bool {
	a, known := w.known(ctx)
	if !known {
		return false
	}
	if a.Incident != nil {
		explained := a.Incident.Explains(r)
		if explained {
			w.raise(ctx, r)
		}
		return explained
	}
	if !w.hasSucceeded(r.At) && slices.ContainsFunc(a.Suspected, func(in store.IncidentRecord) bool {
		return in.Refusal == r && in.Knows(key) && w.now().Sub(in.Since) <= notedFor && !in.FewMayAgree(w.now())
	}) {
		return false
	}
	afresh, due := w.note(r, key)
	if !due {
		return false
	}
	opened, err := w.store.SuspectIncident(ctx, a.Sub, r, key, afresh)
	if err != nil {
		w.log.WarnContext(ctx, "could not record what may be an incident", "at", r.At, "status", r.Status, "reason", r.Reason, "error", err)
		w.forget(r, key)
		return false
	}
	w.account.Reread()
	if opened {
		w.log.WarnContext(ctx, "Google refuses many keys alike", "at", r.At, "status", r.Status, "reason", r.Reason)
	}
	return opened
}

// note remembers a key's refusal. due is false where it was noted a short while ago.
func (w *Watch) note(r store.Refusal, key string) (afresh, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := note{r, key}
	if at, known := w.noted[n]; known && w.now().Sub(at) < notedFor && !w.succeeded[r.At] {
		return false, false
	}
	if len(w.noted) >= maxNoted {
		clear(w.noted)
	}
	w.noted[n] = w.now()
	afresh = w.succeeded[r.At]
	delete(w.succeeded, r.At)
	return afresh, true
}

func (w *Watch) hasSucceeded(method string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.succeeded[method]
}

func (w *Watch) forget(r store.Refusal, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.noted, note{r, key})
}

func (w *Watch) worked(ctx context.Context, method string) {
	w.mu.Lock()
	w.succeeded[method] = true
	w.mu.Unlock()
	a, known := w.known(ctx)
	if !known || !a.InDoubt(method) {
		return
	}
	if err := w.store.EndIncident(ctx, a.Sub, method); err != nil {
		w.log.WarnContext(ctx, "could not record the end of an incident", "method", method, "error", err)
		return
	}
	w.account.Reread()
	if a.Incident != nil {
		w.log.WarnContext(ctx, "Google takes the account again", "at", a.Incident.At, "status", a.Incident.Status, "reason", a.Incident.Reason)
	}
}

// Text puts a refusal into words, such as "403 accessNotConfigured at every call".
func Text(r store.Refusal) string {
	s := r.Reason
	if r.Status != 0 {
		s = fmt.Sprintf("%d %s", r.Status, r.Reason)
	}
	switch r.At {
	case store.AtToken:
		return s + " from the token endpoint"
	case store.AtAPI:
		return s + " from the Calendar API"
	case store.AtZone:
		return s + " for the time zone"
	default:
		return s + " at " + r.At
	}
}

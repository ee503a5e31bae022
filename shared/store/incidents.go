package store

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Where at Google an incident was met, besides a method of the Calendar API.
const (
	// AtToken: the token endpoint gives no access tokens.
	AtToken = "token"
	// AtAPI: every method of the Calendar API.
	AtAPI = "api"
	// AtZone: every write that names the zone, by whichever of its names. Nearly all do,
	// so nothing is written (rule 2.9).
	AtZone = "zone"
)

// Refusal is an answer of Google's that may concern the whole account (rule 7.7).
type Refusal struct {
	// At is AtToken, AtAPI, AtZone or a method, such as "events.insert".
	At     string `firestore:"at" json:"at"`
	Status int    `firestore:"status,omitempty" json:"status,omitempty"`
	// Reason is Google's word for it; "" where it gave none.
	Reason string `firestore:"reason,omitempty" json:"reason,omitempty"`
}

// IncidentRecord is a refusal that concerns the whole account, or that may.
type IncidentRecord struct {
	Refusal
	// Also are further methods that are refused with the same status and reason while
	// the incident is open.
	Also []string `firestore:"also,omitempty" json:"also,omitempty"`
	// Since is when it was first met; of one that is only suspected, by the keys that count.
	Since time.Time `firestore:"since" json:"since"`
	// Begun and Met are when one that is only suspected was met first and last, with no
	// success in between.
	Begun time.Time `firestore:"begun,omitempty" json:"begun,omitzero"`
	Met   time.Time `firestore:"met,omitempty" json:"met,omitzero"`
	// Keys met it, while it is only suspected: "<calendar>/<event>" or another name.
	Keys []string `firestore:"keys,omitempty" json:"keys,omitempty"`
	// ProbedAt is when somebody was last let through to see whether it lasts.
	ProbedAt time.Time `firestore:"probed_at,omitempty" json:"probed_at,omitzero"`
}

// Concerns reports whether calls of a method are kept back while the incident is
// open. nil concerns nothing.
func (in *IncidentRecord) Concerns(method string) bool {
	return in != nil && (in.StopsAll() || in.At == method || slices.Contains(in.Also, method))
}

// Explains reports whether a refusal is what the incident is about, at whichever
// method. nil explains nothing.
func (in *IncidentRecord) Explains(r Refusal) bool {
	return in != nil && in.Status == r.Status && in.Reason == r.Reason && in.StopsAll() == (breadth(r.At) > 0)
}

// StopsAll reports whether the incident lets nothing be written at all. nil does not.
func (in *IncidentRecord) StopsAll() bool { return in != nil && breadth(in.At) > 0 }

// breadth orders the places of incidents by how much they keep out; 0 of a method.
func breadth(at string) int { return 1 + slices.Index([]string{AtZone, AtAPI, AtToken}, at) }

const (
	// maxSuspected bounds the kinds of refusals that are added up at a time.
	maxSuspected = 4
	// agreeingKeys of agreeingCalendars calendars make one incident, if all of them met
	// the same refusal within agreeingFor and none succeeded in between.
	agreeingKeys      = 5
	agreeingCalendars = 2
	agreeingFor       = 10 * time.Minute
	// fewAgreeFor is how long fewer keys must have met the same to make one: where there
	// are no more, they are all that there are. fewRest is how long they may rest between.
	fewAgreeFor = 30 * time.Minute
	fewRest     = 7 * time.Hour
)

// RaiseIncident opens an incident. Another word for one that is open replaces that
// word, one that stops everything replaces one that does not, and the same at another
// method joins it; otherwise the one that is open stays.
func (s *Store) RaiseIncident(ctx context.Context, sub string, r Refusal) error {
	return s.changeAccount(ctx, "open the incident", sub, func(a *AccountRecord, now time.Time) bool {
		return a.raise(r, now, now)
	})
}

func (a *AccountRecord) raise(r Refusal, since, now time.Time) (changed bool) {
	a.Suspected = slices.DeleteFunc(a.Suspected, func(in IncidentRecord) bool { return in.At == r.At })
	switch open := a.Incident; {
	case open == nil, breadth(r.At) > breadth(open.At):
		a.Incident = &IncidentRecord{Refusal: r, Since: since, ProbedAt: now}
		return true
	case open.At == r.At && open.Refusal != r:
		again := *open
		again.Refusal = r
		a.Incident = &again
		return true
	case !open.Concerns(r.At) && open.Explains(r):
		wider := *open
		wider.Also = append(slices.Clone(open.Also), r.At)
		a.Incident = &wider
		return true
	}
	return false
}

// SuspectToken notes a refusal of the token endpoint that nobody knows: it opens an
// incident if it was noted before, at least repeat ago.
func (s *Store) SuspectToken(ctx context.Context, sub string, r Refusal, repeat time.Duration) (opened bool, err error) {
	err = s.changeAccount(ctx, "suspect an incident", sub, func(a *AccountRecord, now time.Time) bool {
		opened = a.Incident != nil && a.Incident.At == r.At
		if opened {
			return a.raise(r, now, now)
		}
		in := a.suspected(r, now)
		if now.Sub(in.Since) < repeat {
			return in.Since.Equal(now)
		}
		opened = true
		return a.raise(r, in.Since, now)
	})
	return opened && err == nil, err
}

// SuspectIncident notes that a key met a refusal. It opens an incident if enough keys
// met the same. afresh: a call of the same sort has succeeded since this process noted
// one, so that what was noted before counts no more.
func (s *Store) SuspectIncident(ctx context.Context, sub string, r Refusal, key string, afresh bool) (opened bool, err error) {
	err = s.changeAccount(ctx, "suspect an incident", sub, func(a *AccountRecord, now time.Time) bool {
		opened = a.Incident != nil && a.Incident.At == r.At
		if a.Incident != nil {
			return false
		}
		in := a.suspected(r, now)
		if afresh || now.Sub(in.Met) > fewRest {
			in.Begun = now
		}
		if afresh || now.Sub(in.Since) > agreeingFor {
			in.Since, in.Keys = now, nil
		}
		in.Met = now
		known := in.Knows(key)
		if !known {
			in.Keys = append(slices.Clone(in.Keys), key)
		}
		if opened = in.agrees() || in.fewAgree(now); opened {
			return a.raise(r, in.Since, now)
		}
		return !known
	})
	return opened && err == nil, err
}

// suspected gives the record of a suspicion, a new one where there is none; the
// oldest gives way where there are many.
func (a *AccountRecord) suspected(r Refusal, now time.Time) *IncidentRecord {
	a.Suspected = slices.Clone(a.Suspected)
	for i := range a.Suspected {
		if a.Suspected[i].Refusal == r {
			return &a.Suspected[i]
		}
	}
	a.Suspected = append(a.Suspected, IncidentRecord{Refusal: r, Since: now})
	a.Suspected = a.Suspected[max(0, len(a.Suspected)-maxSuspected):]
	return &a.Suspected[len(a.Suspected)-1]
}

// Knows reports whether a key says nothing new: it is known, or one of a calendar whose
// keys are enough. What many events of one calendar meet is that calendar's.
func (in *IncidentRecord) Knows(key string) bool {
	return slices.Contains(in.Keys, key) || len(in.Keys) >= agreeingKeys && slices.Contains(calendarsOf(in.Keys), calendarOf(key))
}

// agrees reports whether enough keys met the same.
func (in *IncidentRecord) agrees() bool {
	return len(in.Keys) >= agreeingKeys && len(calendarsOf(in.Keys)) >= agreeingCalendars
}

// fewAgree reports whether fewer keys met the same for long enough, with no success in
// between, that they are all that there are. Only what is refused to whoever asks: what
// is written may be at fault for every key, an address for every share, and one event for
// itself.
func (in *IncidentRecord) fewAgree(now time.Time) bool {
	refused := in.Status == http.StatusForbidden || in.Status == http.StatusUnauthorized
	alone := len(in.Keys) == 1 && strings.Contains(in.Keys[0], "/")
	return refused && !alone && !strings.HasPrefix(in.At, "acl.") && now.Sub(in.Begun) >= fewAgreeFor
}

// FewMayAgree reports whether a key that is known is worth noting again at a time: it may
// have met the same for long enough.
func (in *IncidentRecord) FewMayAgree(now time.Time) bool { return in.fewAgree(now) }

func calendarOf(key string) string {
	calendar, _, _ := strings.Cut(key, "/")
	return calendar
}

func calendarsOf(keys []string) []string {
	var out []string
	for _, key := range keys {
		out = append(out, calendarOf(key))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ProbeIncident lets one caller through every so often, to see whether the incident
// lasts; open is false where there is none any more.
func (s *Store) ProbeIncident(ctx context.Context, sub string, every time.Duration) (granted, open bool, err error) {
	err = s.changeAccount(ctx, "probe the incident", sub, func(a *AccountRecord, now time.Time) bool {
		open = a.Incident != nil
		granted = open && now.Sub(a.Incident.ProbedAt) >= every
		if granted {
			in := *a.Incident
			in.ProbedAt = now
			a.Incident = &in
		}
		return granted
	})
	return granted && err == nil, open, err
}

// EndIncident ends the incident that a success of the token endpoint, or of a method,
// shows to be over, and what was only suspected of it.
func (s *Store) EndIncident(ctx context.Context, sub, at string) error {
	return s.changeAccount(ctx, "end the incident", sub, func(a *AccountRecord, _ time.Time) bool { return a.works(at) })
}

// works forgets what a success contradicts.
func (a *AccountRecord) works(at string) (changed bool) {
	over := func(in IncidentRecord) bool { return in.At == at || in.At == AtAPI && at != AtToken }
	switch open := a.Incident; {
	case open == nil:
	case over(*open):
		a.Incident, changed = nil, true
	case slices.Contains(open.Also, at):
		narrower := *open
		narrower.Also = slices.DeleteFunc(slices.Clone(open.Also), func(also string) bool { return also == at })
		a.Incident, changed = &narrower, true
	}
	if slices.ContainsFunc(a.Suspected, over) {
		a.Suspected, changed = slices.DeleteFunc(slices.Clone(a.Suspected), over), true
	}
	return changed
}

// InDoubt reports whether a success of the token endpoint, or of a method, would end
// an incident or a suspicion.
func (a AccountRecord) InDoubt(at string) bool {
	a.Suspected = slices.Clone(a.Suspected)
	return a.works(at)
}

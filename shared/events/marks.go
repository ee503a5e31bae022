package events

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// unreadableAgain is how often a task is looked at that waits because marks do not come back.
const unreadableAgain = time.Hour

// marked reports whether an event has the mark of a party's event.
func (t *taskPass) marked(e googlecalendar.Event, p *party) bool {
	return e.Ours(t.basis.tenant, t.id, calendarsync.EmployeeID(p.id))
}

// ours reports whether what Google has under the id of a party's event is that event:
// while marks do not come back, the id of one that was there before is enough. An event
// that has not its mark needs the installation.
func (t *taskPass) ours(e googlecalendar.Event, p *party) bool {
	m := p.mapping
	return t.marked(e, p) || t.basis.unreadable != nil && e.Bare && m.EventID == e.ID && (m.State == store.MappingLive || m.ETag != "")
}

// checkMark looks for the mark in the answer to an insert, and, where it is not, in the
// event itself, once. What would be inserted without one would be nobody's, and inserted
// again under one generation after another (rule 3.14).
func (t *taskPass) checkMark(ctx context.Context, w *write, a *placement, mark calendarsync.Mark) {
	calendar := w.party.record.Calendar.ID
	if a.event.Mark != mark {
		if have, err := t.s.Google.Event(ctx, calendar, w.intent.EventID); err == nil && have.Mark == mark {
			a.event = have
		}
	}
	if a.event.Mark != mark {
		t.noteUnreadable(ctx, w.party, w.intent.EventID)
		return
	}
	t.s.witnesses.add(calendar, a.event)
	if before := t.basis.unreadable; before != nil {
		t.basis.unreadable = nil
		if err := t.s.Store.NoteReadable(ctx, *before); err != nil {
			t.fail(err)
		}
	}
}

// noteUnreadable notes that an event's mark did not come back.
func (t *taskPass) noteUnreadable(ctx context.Context, p *party, event string) {
	u := store.UnreadableMark{Since: t.acquiredAt(), Employee: p.id, Calendar: p.record.Calendar.ID, Event: event}
	t.s.Log.ErrorContext(ctx, "Google does not give an event's mark back: nothing is created until it does", "task", t.id, "employee", u.Employee, "event", u.Event)
	t.basis.unreadable = &u
	if err := t.s.Store.NoteUnreadable(ctx, u); err != nil {
		t.fail(err)
	}
}

// judgeUnmarked judges a live event under the id of a party's event that has not its mark.
// nil: what is known says whether it is theirs (ours). An error: nobody can tell. It may be
// from an insert whose answer was lost, and Google give no marks back; taken for somebody
// else's, its task would get another, and have two once marks come back (rule 3.14).
func (t *taskPass) judgeUnmarked(ctx context.Context, e googlecalendar.Event, p *party) error {
	if err := t.needInstallation(ctx); err != nil {
		return err
	}
	if !e.Bare || t.ours(e, p) {
		return nil // it shows what it carries, or is remembered
	}
	if !t.basis.unreadable.Stops(t.acquiredAt()) {
		sight, err := t.sightOfMarks(ctx, e, p)
		if err != nil || sight == shown {
			return err
		}
		if known := p.mapping.State == store.MappingLive && p.mapping.EventID == e.ID; sight == lost || !known {
			t.noteUnreadable(ctx, p, e.ID)
		}
	}
	if t.ours(e, p) {
		return nil
	}
	return failure.New(failure.Transient, "read "+e.String(), "it shows no mark, and Google may give none back: it is left alone until one is seen")
}

// sight is whether Google gives marks of events back, as far as can be seen.
type sight int

const (
	unseen sight = iota // nothing shows it
	shown               // they come back
	lost                // they do not
)

// sightOfMarks looks whether the mark of any other event comes back, for one that shows none.
func (t *taskPass) sightOfMarks(ctx context.Context, e googlecalendar.Event, p *party) (sight, error) {
	if m := p.mapping; m.State == store.MappingLive && m.EventID == e.ID && m.ETag != "" && m.ETag == e.ETag {
		return lost, nil // nobody has written it since it had its mark
	}
	calendar, seen := p.record.Calendar.ID, unseen
	for _, other := range t.s.witnesses.all() {
		if other.event == e.ID && other.calendar == calendar {
			continue
		}
		switch have, err := t.s.Google.Event(ctx, other.calendar, other.event); {
		case err == nil && have.Marked:
			return shown, nil
		case err == nil && !have.Cancelled && have.Bare:
			seen = lost
		case err != nil && !failure.Is(err, failure.Gone) && !failure.Is(err, failure.Forbidden):
			return unseen, err
		}
	}
	if seen == lost {
		return lost, nil
	}
	_, all, err := t.s.Google.Events(ctx, calendar)
	if i := slices.IndexFunc(all, func(other googlecalendar.Event) bool { return other.Marked }); err == nil && i >= 0 {
		t.s.witnesses.add(calendar, all[i])
		return shown, nil
	}
	return unseen, err
}

// maxWitnesses is how many events are remembered whose marks were seen: one may be deleted,
// or be the very one that shows none.
const maxWitnesses = 4

// witness is an event whose mark was seen: read again, it shows whether marks still come back.
type witness struct{ calendar, event string }

// witnesses are the latest of them, the last one first. The zero value has none.
type witnesses struct {
	mu     sync.Mutex
	latest []witness
}

// add remembers an event, if it shows its own mark.
func (w *witnesses) add(calendar string, e googlecalendar.Event) {
	if !e.Owned || e.Cancelled {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := witness{calendar, e.ID}
	if len(w.latest) > 0 && w.latest[0] == one {
		return
	}
	others := slices.DeleteFunc(w.latest, func(other witness) bool { return other == one })
	w.latest = append([]witness{one}, others[:min(len(others), maxWitnesses-1)]...)
}

func (w *witnesses) all() []witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.latest)
}

package events

import (
	"context"

	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// guard lets deletions that nobody may have meant go only as far as the rolling
// day has room for them (rule 4.3); the others are held and wait for an
// admin. A hold stops those events only (rule 4.4).
func (l *taskPass) guard(ctx context.Context, todo []step) []step {
	asked := 0
	for _, s := range todo {
		if l.asks(s) {
			asked++
		}
	}
	granted := 0
	if asked > 0 {
		var err error
		if granted, err = pass.Permit(ctx, l.w.Store, l.w.Log, store.GuardedEvents, asked, l.rules.Settings.DeleteGuardPercent); err != nil {
			l.fail(err)
		}
	}
	out := todo[:0]
	for _, s := range todo {
		switch {
		case !s.counted || l.allowed(s) || s.party.mapping.State == store.MappingDeleting:
			out = append(out, s)
		case l.asks(s) && granted > 0:
			granted--
			out = append(out, s)
		default:
			l.hold(ctx, s)
		}
	}
	return out
}

// asks reports whether a step has to be permitted now: it is counted, and neither
// held, nor confirmed, nor let go by an earlier look whose end is not known.
func (l *taskPass) asks(s step) bool {
	m := s.party.mapping
	return s.counted && m.HeldSince.IsZero() && m.State != store.MappingDeleting
}

func (l *taskPass) allowed(s step) bool {
	m := s.party.mapping
	return pass.Allowed(m.HeldSince, m.AllowedAt, l.taken())
}

func (l *taskPass) hold(ctx context.Context, s step) {
	m := l.found(s.party)
	m.AbsentSince, m.AbsentFor = s.absent, absentFor(s.absent, s.decision.Reason)
	if m.HeldSince.IsZero() {
		m.HeldSince, m.HeldFor = l.taken(), string(s.decision.Reason)
		l.w.Log.WarnContext(ctx, "deletion held", "task", l.id, "employee", s.party.id, "reason", m.HeldFor)
	}
	l.mappings[s.party.id] = &m
}

package calendars

import (
	"context"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// firstCardRest and longestCardRest are how long a refused card rests after the first refusal,
// and at most.
const (
	firstCardRest   = time.Minute
	longestCardRest = 24 * time.Hour
)

// cardRest is how long a card rests that the ERP has refused so often in a row.
func cardRest(count int) time.Duration {
	rest := firstCardRest
	for ; count > 1 && rest < longestCardRest; count-- {
		rest *= 2
	}
	return min(rest, longestCardRest)
}

// writeCard writes the calendar's id into the ERP's card where that is configured, once
// per change (rule 5.5). What the ERP refuses costs the card and nothing else (rule 5.9).
func (p *employeePass) writeCard(ctx context.Context) error {
	field, id, rec := p.settings.CalendarIDField, "", p.rec()
	if field == 0 {
		return p.forgetCard(ctx)
	}
	if rec.Calendar != nil {
		id = rec.Calendar.ID
	}
	card := fmt.Sprintf("%d=%s", field, id)
	// What was tried may have been written all the same.
	if rec.CardTried == "" && (rec.Card == card || id == "" && rec.Card == "") {
		return nil
	}
	if again := rec.CardAgain; rec.CardTried == card && p.term.AcquiredAt().Before(again) && p.order.Cause != queue.CauseConsole {
		p.Again(again)
		return nil
	}
	if p.older {
		return errOlder
	}
	// A purge reads no card.
	if p.employee == nil || p.employee.Fields.Or(nil)[field] != id {
		err := p.ERP.SetEmployeeField(p.calls(ctx), p.id, field, id)
		if err != nil && ctx.Err() != nil {
			return err // nobody knows how it went, and the pass is over
		}
		if err != nil {
			return p.cardRefused(ctx, card, err)
		}
		if err := p.Store.CardTaken(ctx); err != nil {
			return err
		}
	}
	return p.save(ctx, func(r *store.EmployeeRecord) { cardDone(r, card) })
}

// forgetCard forgets what could not be written once nothing is to be.
func (p *employeePass) forgetCard(ctx context.Context) error {
	if p.rec().CardTried == "" {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) { cardDone(r, r.Card) })
}

// cardRefused records why the ERP did not take the card, and asks for another try.
func (p *employeePass) cardRefused(ctx context.Context, card string, why error) error {
	now, before := p.term.At(p.Now()), p.rec().CardFailure
	since := p.rec().CardSince
	if p.rec().CardTried != card {
		before = nil
	}
	if before == nil || since.IsZero() {
		since = now
	}
	f := store.FailureOf(why, before, now)
	again := now.Add(cardRest(f.Count))
	p.Log.WarnContext(ctx, "the ERP does not take the calendar's id", "employee", p.id, "count", f.Count, "again", again, "error", why)
	p.Again(again)
	if err := p.save(ctx, func(r *store.EmployeeRecord) {
		r.CardFailure, r.CardTried, r.CardAgain, r.CardSince = f, card, again, since
	}); err != nil {
		return err
	}
	return p.Store.CardRefused(ctx, int64(p.id), f.Message)
}

// cardDone notes what the card holds, and that nothing is to be tried any more.
func cardDone(r *store.EmployeeRecord, card string) {
	r.Card, r.CardFailure, r.CardTried, r.CardAgain, r.CardSince = card, nil, "", time.Time{}, time.Time{}
}

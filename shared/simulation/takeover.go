package simulation

import (
	"net/http"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// decideFound has the admin, whom the alarm of Poll calls, say that the calendars found
// after a lost database are theirs: the first form of the page. Where none is found that
// answers, they start afresh if they know of none that ought to be there, or when that has
// lasted for a day; otherwise they do as the page says, and look again. So they do for as long
// as they see marks that Google gives nobody else back, or did not when the product looked last.
func (w *world) decideFound() {
	in, err := store.New(w.memory).Installation(w.ctx)
	if err != nil || !in.Undecided() {
		w.fail(err)
		return
	}
	w.act("decide whose the found calendars are", func(b *browser) (bool, *page, error) {
		p, err := b.open("/takeover")
		if err != nil || p.status != http.StatusOK || p.at.Host != consoleHost {
			return false, p, err
		}
		f, ok := p.form("/takeover")
		if !ok {
			return true, p, nil // it is decided: only the answer was lost
		}
		if f.values.Get("tenant") == "" && len(w.calendars()) > 0 && (w.seesMarks() || !w.waitedForFound()) {
			return w.press(b, p, "/run", "queued")
		}
		w.note("the admin presses %s", f.path())
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		return p.at.Query().Has("queued") || p.status == http.StatusConflict, p, nil
	})
}

// seesMarks reports whether somebody who opens at Google what the page shows without a mark
// sees one: Google does not give it back, or did not when the product looked last, which cannot
// look again while its grant is refused.
func (w *world) seesMarks() bool {
	lost, _ := w.marksLost()
	found, _, _, err := store.New(w.memory).Found(w.ctx)
	w.fail(err)
	return slices.ContainsFunc(w.calendars(), func(c fakegoogle.CalendarSnapshot) bool {
		_, marked := calendarsync.ReadCalendarMark(c.Description)
		return marked && (lost || slices.Contains(found.Blank, c.ID))
	})
}

// waitedForFound reports whether a day has passed since the admin was asked.
func (w *world) waitedForFound() bool {
	_, asked, found, err := store.New(w.memory).Found(w.ctx)
	w.fail(err)
	return found && time.Since(asked) > 24*time.Hour
}

package simulation

import (
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// decideFound has the admin, whom the alarm of Poll calls, say that the calendars found
// after a lost database are theirs: the first form of the page. Where none is found that
// answers, the only form is to start afresh, which they do when that has lasted for a day.
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
		if f.values.Get("tenant") == "" && !w.waitedForFound() {
			return true, p, nil
		}
		w.note("the admin presses %s", f.path())
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		return p.at.Query().Has("queued") || p.status == http.StatusConflict, p, nil
	})
}

// waitedForFound reports whether a day has passed since the admin was asked.
func (w *world) waitedForFound() bool {
	_, asked, found, err := store.New(w.memory).Found(w.ctx)
	w.fail(err)
	return found && time.Since(asked) > 24*time.Hour
}

package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// readersLook has everybody outside the organisation look into what is shared with them. What
// they see is no business of the product's, which cannot see it: a policy may leave them busy
// times under a role that says reader, and then all is right with the product that is right
// without it (G6). So it is a look alone, at the end, that shows which Google was met.
func (w *world) readersLook() {
	blind := w.setup.Google.Ways.Outside == fakegoogle.OutsideBlind
	for _, c := range w.calendars() {
		for _, r := range c.Rules {
			_, domain, _ := strings.Cut(r.Value, "@")
			if r.Type != "user" || r.Role != "reader" || domain == organisation {
				continue
			}
			titles, all, err := w.seenBy(r.Value, c.ID)
			if err != nil {
				w.fail(err)
				return
			}
			w.note("%s sees the titles of %d of %d events", r.Value, titles, all)
			if seen := titles > 0; all > 0 && seen == blind {
				w.fail(fmt.Errorf("a reader outside sees the titles of %d of %d events, blind %t", titles, all, blind))
			}
		}
	}
}

// seenBy counts the events of a calendar that an address sees, and those whose title it does.
func (w *world) seenBy(address, calendar string) (titles, all int, err error) {
	w.google.AddAccount(fakegoogle.Account{Email: address, Name: "Reader"})
	r, err := http.NewRequestWithContext(context.WithoutCancel(w.ctx), http.MethodGet,
		"http://"+googleHost+"/calendar/v3/calendars/"+url.PathEscape(calendar)+"/events?maxResults=2500", http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	res, err := w.google.Client(address, "calendar.events.readonly").Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("a reader's look at %s: status %d", calendar, res.StatusCode)
	}
	var list struct{ Items []struct{ Summary string } }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return 0, 0, err
	}
	for _, e := range list.Items {
		if e.Summary != "" {
			titles++
		}
	}
	return titles, len(list.Items), nil
}

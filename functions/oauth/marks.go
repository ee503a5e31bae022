package oauth

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

const (
	// mostProbed is how many calendars of one tenant are looked for, and mostDenied how many
	// that are there have to be denied to this client; where there are more, and none of
	// these is there, nothing is certain. All these calls are made without a slot.
	mostProbed, mostDenied = 50, 10
	// ownCalendar is the account's own, which is always there.
	ownCalendar = "primary"
	// probedAtOnce is how many are looked for at the same time.
	probedAtOnce = 5
	// lookDeadline bounds the look through the account's calendars.
	lookDeadline = 3 * callDeadline
)

// unpaced lets the few calls pass that a connection needs: before it nobody else
// makes calls for an account whose calendars nobody knows.
type unpaced struct{}

func (unpaced) Wait(context.Context, string, string) error { return nil }

func (unpaced) Refused(context.Context, string, string) error { return nil }

// outOfReach names a marked calendar of the account that this client may not change, ""
// for none: after a lost database another client would adopt what it cannot write, and
// everybody would get everything twice (rule 3.7).
func (h *handler) outOfReach(ctx context.Context, token *oauth2.Token, who identity) (string, error) {
	client := oauth2.NewClient(context.WithValue(ctx, oauth2.HTTPClient, h.HTTP), oauth2.StaticTokenSource(token))
	google, err := googlecalendar.New(ctx, client, h.cfg.CalendarEndpoint, unpaced{}, func(context.Context) (string, error) { return who.Sub, nil })
	if err != nil {
		return "", err
	}
	list, err := google.Calendars(ctx)
	if err != nil {
		return "", err
	}
	// The calendars of one tenant were all made by one client.
	tenants := map[string][]googlecalendar.Calendar{}
	for _, c := range list {
		if c.Marked && c.OwnedBy(who.Email) {
			tenants[c.Mark.Tenant] = append(tenants[c.Mark.Tenant], c)
		}
	}
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		if name, err := tenantOutOfReach(ctx, google, tenants[tenant]); err != nil || name != "" {
			return name, err
		}
	}
	return "", nil
}

// tenantOutOfReach is outOfReach for the calendars of one tenant. The row of a deleted
// calendar may stay in the list and is none (rule 3.13). calendar.app.created does not show
// what another client made either, but calendar.acls is for every calendar of the account:
// a calendar that is there has rules, and a row has none. Where Google does not list the rules
// of the account's own calendar either, which is there and which no client made, they tell
// nothing (G16).
func tenantOutOfReach(ctx context.Context, google *googlecalendar.Gateway, calendars []googlecalendar.Calendar) (string, error) {
	// The latest life first: rows are most often of former ones.
	slices.SortFunc(calendars, func(a, b googlecalendar.Calendar) int {
		return cmp.Or(b.Mark.From.Compare(a.Mark.From), cmp.Compare(a.ID, b.ID))
	})
	probed := calendars[:min(len(calendars), mostProbed)]
	var denied []string
	rows := 0
	for few := range slices.Chunk(probed, probedAtOnce) {
		there, err := thoseThere(ctx, google, few)
		if err != nil {
			return "", err
		}
		rows += len(few) - len(there)
		for _, c := range there {
			_, err := google.Calendar(ctx, c.ID)
			switch {
			case err == nil:
				return "", nil
			case !failure.Is(err, failure.Gone) && !failure.Is(err, failure.Forbidden):
				return "", err
			}
			if denied = append(denied, c.Name); len(denied) == mostDenied {
				return denied[0], nil
			}
		}
	}
	switch {
	case len(denied) > 0:
		return denied[0], nil
	case len(calendars) > len(probed):
		return calendars[len(probed)].Name, nil
	case rows == 0:
		return "", nil
	}
	switch _, err := google.Rules(ctx, ownCalendar); {
	case failure.Is(err, failure.Gone):
		return calendars[0].Name, nil
	case failure.Is(err, failure.Forbidden):
		return "", nil // it tells what is there from what is not
	default:
		return "", err
	}
}

// thoseThere leaves out the calendars whose rules Google does not list, because there is no
// such calendar. Whoever may not list them meets a calendar that is there.
func thoseThere(ctx context.Context, google *googlecalendar.Gateway, calendars []googlecalendar.Calendar) ([]googlecalendar.Calendar, error) {
	errs := make([]error, len(calendars))
	var looks sync.WaitGroup
	for i, c := range calendars {
		looks.Go(func() { _, errs[i] = google.Rules(ctx, c.ID) })
	}
	looks.Wait()
	var there []googlecalendar.Calendar
	for i, err := range errs {
		switch {
		case err == nil, failure.Is(err, failure.Forbidden):
			there = append(there, calendars[i])
		case !failure.Is(err, failure.Gone):
			return nil, err
		}
	}
	return there, nil
}

// checkMarks refuses a grant by which marked calendars would be out of reach.
func (h *handler) checkMarks(ctx context.Context, token *oauth2.Token, who identity) error {
	name, err := h.outOfReach(ctx, token, who)
	switch {
	case err != nil:
		return &refusal{status: http.StatusBadGateway, log: "calendars unread", err: err, title: "The account's calendars could not be looked through",
			cause: "Before a connection, erp-calendar looks for calendars that it made earlier, so that nobody gets everything twice. Google did not answer as expected.",
			cures: []string{"Check that the Google Calendar API is enabled in the OAuth client's project (Google Cloud console, APIs & Services).", "Wait a minute, then press Connect again."}}
	case name != "":
		return &refusal{status: http.StatusConflict, log: "other client", title: "Another OAuth client made the calendars",
			cause: "The account " + h.cfg.IntegrationAccount + " already has calendars of erp-calendar, such as “" + name + "” (their description ends with a line erp-calendar/1 …), made with another OAuth client id. Google lets an application change only calendars that it made itself, so every employee would get everything twice.",
			cures: []string{"Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET back to the client that was used before.",
				"Or delete those calendars first, in Google Calendar as that account, and press Connect again after that.",
				"If they are deleted already, and Google Calendar still lists them: open calendar.google.com as that account, Settings, choose each under “Settings for my calendars”, and press Unsubscribe under “Remove calendar”; then press Connect again."}}
	}
	return nil
}

package oauth

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

// mostProbed is how many calendars of one tenant are tried before it is believed
// that none of them can be reached: the rows of deleted ones may stay (rule 3.13).
const mostProbed = 30

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
	for _, calendars := range tenants {
		slices.SortFunc(calendars, func(a, b googlecalendar.Calendar) int { return cmp.Compare(a.ID, b.ID) })
		reached := false
		for _, c := range calendars[:min(len(calendars), mostProbed)] {
			// calendar.app.created does not even show what another client made.
			_, err := google.Calendar(ctx, c.ID)
			if err == nil {
				reached = true
				break
			}
			if !failure.Is(err, failure.Gone) && !failure.Is(err, failure.Forbidden) {
				return "", err
			}
		}
		if !reached {
			return calendars[0].Name, nil
		}
	}
	return "", nil
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
				"Or delete those calendars first, in Google Calendar as that account, and press Connect again after that."}}
	}
	return nil
}

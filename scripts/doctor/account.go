package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// googlePerMinute is Google's default limit for one account (shared/googlecalendar/README.md);
	// googleCalendars is about how many calendars can be made before a pause of hours.
	googlePerMinute, googleCalendars = 600, 60
	// slowPerMinute is a budget with which a fill of 200 people takes hours.
	slowPerMinute = 60
)

// accountChecks are those of the record, and those for which Google is asked.
func (d *doctor) accountChecks() []check {
	known := d.AccountChecks()
	known[0].Needs, known[0].After = []string{"cloud.firestore"}, []string{"env.admins", "env.client", "env.sites", "oauth.redirect_uri"}
	group := known[0].Group
	return append(known,
		check{ID: "account.grant", Group: group, Title: "grant works", Needs: []string{"account.connected", "env.client", "env.token", "oauth.discovery"}, After: []string{"cloud.key"}, Within: 30 * time.Second, Run: d.checkGrant},
		check{ID: "account.calendar", Group: group, Title: "Calendar API", Needs: []string{"account.grant"}, Within: 30 * time.Second, Run: d.checkCalendar},
		check{ID: "account.quota", Group: group, Title: "quota", Needs: []string{"env.budget"}, After: []string{"account.connected"}, Run: d.checkQuota})
}

// readOnlyAccounts keeps out of the store what package grant would record: that a
// grant was refused, or works, is for the functions to say.
type readOnlyAccounts struct{ *store.Store }

func (readOnlyAccounts) GrantRefused(context.Context, string, int64, string, time.Duration) (bool, error) {
	return false, nil
}

func (readOnlyAccounts) GrantWorks(context.Context, string, int64) error { return nil }

func (readOnlyAccounts) RaiseIncident(context.Context, string, store.Refusal) error { return nil }

// SuspectToken believes an unknown code at once: the doctor asks once.
func (readOnlyAccounts) SuspectToken(context.Context, string, store.Refusal, time.Duration) (bool, error) {
	return true, nil
}

// checkGrant opens the sealed grant and asks for an access token, as every
// function does hourly.
func (d *doctor) checkGrant(ctx context.Context) verdict {
	if d.sealer == nil {
		return notChecked(loginCure, "what the grant is sealed with cannot be used here")
	}
	source := grant.New(grant.Config{
		ClientID: d.env.client.ID, ClientSecret: d.env.client.Secret.Text(),
		TokenURL: func(context.Context) (string, error) { return d.provider.Token, nil }, Repeat: time.Minute,
	}, readOnlyAccounts{d.state}, d.sealer, d.client(), d.now, slog.New(slog.DiscardHandler))
	_, _, err := source.Token(ctx)
	switch reason := reasonOf(err); {
	case err == nil:
		d.grants = source
		return ok("it can be opened, and Google gives an access token for it")
	case errors.Is(err, seal.ErrOpen):
		return bad("Set TOKEN_KEY back to the key that was in force when the account was connected, or connect it again: nothing is lost by that.",
			"the stored grant was not sealed by the key of TOKEN_KEY")
	case reason == "PermissionDenied", reason == "Unauthenticated":
		v := denied("Cloud KMS", "cloudkms.googleapis.com", "roles/cloudkms.cryptoKeyDecrypter for as long as you look")
		v.Text = "the grant is sealed, and Cloud KMS does not let you open it"
		return v
	case reason == "NotFound", reason == "FailedPrecondition":
		return bad("See “encryption key” above.", "the grant is sealed by a key that is missing or disabled")
	case reason == "invalid_grant":
		return bad(d.ConnectCure()+"\nGrants also die by a changed password, by being revoked at https://myaccount.google.com/connections, or by not being used for six months.",
			"Google refuses the grant (invalid_grant): it has expired or was revoked")
	case reason == "invalid_client", reason == "unauthorized_client":
		return bad(secretCure, "Google does not accept the client (%s)", reason)
	case failure.Is(err, failure.Misconfigured):
		return bad(incidents.Cure(d.Texts, refusalOf(store.AtToken, err)), "Google gives the account no access (%s)", checkup.KindWords(err))
	}
	return bad("Run the doctor again in a few minutes.", "no access token could be had (%s)", checkup.KindWords(err))
}

// unpaced lets the doctor's few calls pass: taking slots of the budget would write.
type unpaced struct{}

func (unpaced) Wait(context.Context, string, string) error { return nil }

func (unpaced) Refused(context.Context, string, string) error { return nil }

func (d *doctor) checkCalendar(ctx context.Context) verdict {
	gateway, err := googlecalendar.New(ctx, &http.Client{Transport: &grant.Transport{Source: d.grants, Base: d.transport}}, d.env.google.CalendarEndpoint, unpaced{},
		func(ctx context.Context) (string, error) {
			_, _, err := d.grants.Token(ctx)
			return d.Record.Sub, err
		})
	if err != nil {
		return bad("Unset CALENDAR_ENDPOINT, unless this is a test.", "no Calendar client could be made")
	}
	calendars, err := gateway.Calendars(ctx)
	if err != nil {
		return d.calendarTrouble(err)
	}
	in, err := d.state.Installation(ctx)
	if err != nil {
		return bad("Run the doctor again.", "the list could be read, the installation's record not (%s)", checkup.KindWords(err))
	}
	ours, foreign := 0, 0
	for _, c := range calendars {
		switch {
		case !c.Marked || !c.OwnedBy(d.Record.Email):
		case in.Tenant == "" || c.Mark.Tenant == in.Tenant:
			ours++
		default:
			foreign++
		}
	}
	data := map[string]any{"calendars": len(calendars), "ours": ours, "of_another_installation": foreign}
	v := ok("answers; %s of employees in it", verb(ours, "1 calendar", "calendars"))
	if foreign > 0 {
		v = warn("Find out whose they are before anything is deleted: perhaps a test installation uses the same account and OAuth client. Give each installation an account of its own.",
			"answers; %s, and %d made by another installation", verb(ours, "1 calendar of employees", "calendars of employees"), foreign)
	}
	v.Data = data
	return v
}

func (d *doctor) calendarTrouble(err error) verdict {
	reason := reasonOf(err)
	switch {
	case slices.Contains([]string{"accessNotConfigured", "SERVICE_DISABLED", "API_DISABLED"}, reason):
		return bad("Enable it in the project that the OAuth client belongs to (gcloud services enable calendar-json.googleapis.com, or https://console.cloud.google.com/apis/library/calendar-json.googleapis.com), and wait a few minutes.",
			"the Google Calendar API is not enabled (%s)", reason)
	case slices.Contains([]string{"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}, reason):
		return bad("Press Connect in the console again and tick every box that Google shows.", "the grant lacks a permission (%s)", reason)
	case failure.Is(err, failure.Misconfigured):
		return bad(incidents.Cure(d.Texts, refusalOf(store.AtAPI, err)), "Google refuses the account (%s)", checkup.KindWords(err))
	case failure.Is(err, failure.Exhausted):
		return bad("Wait: Google ends such a pause by itself after hours. The functions wait too, and go on by themselves.", "Google has paused the account (%s): too much was made in a short time", reason)
	case failure.Is(err, failure.RateLimited):
		return warn("Wait a minute. If it stays, lower CALENDAR_REQUESTS_PER_MINUTE to the limit of the project (https://console.cloud.google.com/iam-admin/quotas, Calendar API, per user).",
			"answers that there were too many requests just now (%s)", reason)
	case failure.Is(err, failure.Forbidden):
		return bad("See whether a Workspace admin has switched Calendar off for the account, or blocks the app (Admin console, Security, API controls).", "Google refuses the account (%s)", checkup.KindWords(err))
	case failure.Is(err, failure.Gone):
		return bad("Unset CALENDAR_ENDPOINT, unless this is a test.", "there is no Calendar API at CALENDAR_ENDPOINT (%s)", checkup.KindWords(err))
	}
	f, known := errors.AsType[*failure.Error](err)
	if known && f.Status != 0 {
		return bad("Look at https://www.google.com/appsstatus/dashboard/ and run the doctor again later.", "the Calendar API fails (%s)", checkup.KindWords(err))
	}
	why, cure := checkup.Unreached(d.Texts, err)
	return bad(cure, "the Calendar API could not be reached: %s", why)
}

// refusalOf is what Google said, as an incident would record it.
func refusalOf(at string, err error) store.Refusal {
	r := store.Refusal{At: at, Reason: reasonOf(err)}
	if f, known := errors.AsType[*failure.Error](err); known {
		r.Status = f.Status
	}
	return r
}

func (d *doctor) checkQuota(context.Context) verdict {
	b := d.env.budget
	var words, cures []string
	add := func(text, cure string) { words, cures = append(words, text), append(cures, cure) }
	if until := d.Record.PausedUntil; until.After(d.now()) {
		add("Google has paused all writes for another "+duration(until.Sub(d.now())), "Wait: Poll goes on by itself when the pause is over. Nothing is lost.")
	}
	if until := d.Record.CreationsPausedUntil; until.After(d.now()) {
		add("Google has paused making and sharing calendars for another "+duration(until.Sub(d.now())), "Wait: Poll goes on by itself when the pause is over. Events are written meanwhile.")
	}
	if d.Record.PausedFor(d.now()) == failure.ReasonDailyLimit {
		add("the calls of this day are used up (dailyLimitExceeded), which ends at midnight Pacific time", "If it comes again, raise the daily quota of the Google Calendar API (https://console.cloud.google.com/iam-admin/quotas).")
	}
	if b.RequestsPerMinute > googlePerMinute {
		add("CALENDAR_REQUESTS_PER_MINUTE is "+itoa(b.RequestsPerMinute)+", and Google's default for one account is "+itoa(googlePerMinute),
			"Set CALENDAR_REQUESTS_PER_MINUTE to "+itoa(googlePerMinute)+", unless the project's quota “Queries per minute per user” was raised (https://console.cloud.google.com/iam-admin/quotas).")
	}
	if b.RequestsPerMinute < slowPerMinute {
		add("CALENDAR_REQUESTS_PER_MINUTE is only "+itoa(b.RequestsPerMinute)+" of Google's "+itoa(googlePerMinute), "Raise it, unless other programs use the same account and client.")
	}
	if b.CalendarsPerHour > googleCalendars {
		add("CALENDARS_PER_HOUR is "+itoa(b.CalendarsPerHour)+", and after about "+itoa(googleCalendars)+" calendars Google wants a pause of hours", "Set CALENDARS_PER_HOUR to 20.")
	}
	data := map[string]any{"requests_per_minute": b.RequestsPerMinute, "google_per_minute": googlePerMinute, "calendars_per_hour": b.CalendarsPerHour}
	v := ok("%d of Google's default of %d requests a minute, %d new calendars an hour", b.RequestsPerMinute, googlePerMinute, b.CalendarsPerHour)
	if len(words) > 0 {
		v = warn(strings.Join(cures, "\n"), "%s", strings.Join(words, "; "))
	}
	v.Data = data
	return v
}

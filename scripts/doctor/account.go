package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// googlePerMinute is Google's default limit for one account (shared/googlecalendar/README.md);
	// googleCalendars is about how many calendars can be made before a pause of hours.
	googlePerMinute, googleCalendars = 600, 60
	// slowPerMinute is a budget with which a fill of 200 people takes hours.
	slowPerMinute = 60
	// soon is how long before a grant's end its alarm is raised (rule 7.5).
	soon = 48 * time.Hour
)

func (d *doctor) accountChecks() []check {
	return []check{
		{id: "account.connected", group: groupAccount, title: "connected", needs: []string{"cloud.firestore"}, after: []string{"env.admins", "env.client", "env.sites", "oauth.redirect_uri"}, run: d.checkConnected},
		{id: "account.scopes", group: groupAccount, title: "permissions", needs: []string{"account.connected"}, run: d.checkScopes},
		{id: "account.expiry", group: groupAccount, title: "end of the grant", needs: []string{"account.connected"}, run: d.checkExpiry},
		{id: "account.grant", group: groupAccount, title: "grant works", needs: []string{"account.connected", "env.client", "env.token", "oauth.discovery"}, after: []string{"cloud.key"}, within: 30 * time.Second, run: d.checkGrant},
		{id: "account.calendar", group: groupAccount, title: "Calendar API", needs: []string{"account.grant"}, within: 30 * time.Second, run: d.checkCalendar},
		{id: "account.quota", group: groupAccount, title: "quota", needs: []string{"env.budget"}, after: []string{"account.connected"}, run: d.checkQuota},
	}
}

// connectCure is how to connect, with what commonly goes wrong on the way.
func (d *doctor) connectCure() string {
	console := "the console"
	if d.env.sites.ConsoleURL != "" {
		console = d.env.sites.ConsoleURL
	}
	uri := "the redirect URI"
	if d.redirectURI != "" {
		uri = d.redirectURI
	}
	return "Open " + console + ", press Connect and choose the account of INTEGRATION_ACCOUNT." +
		"\nIf Google shows redirect_uri_mismatch: register " + uri + " at the OAuth client, exactly." +
		"\nIf Google shows access_denied, or that the app is being tested: add the account to the test users (" + audiencePage + "), or publish the app." +
		"\nIf Google says that an administrator blocks it: let the Workspace admin trust the client id (Admin console, Security, API controls)." +
		"\nWhile the consent screen is in Testing, each connection ends after seven days: choose Internal (Workspace) or publish the app."
}

func (d *doctor) checkConnected(ctx context.Context) verdict {
	a, err := d.state.Account(ctx)
	switch {
	case errors.Is(err, store.ErrNotConnected):
		return bad(d.connectCure(), "no Google account is connected, so there is nowhere to write")
	case err != nil:
		return bad("Run the doctor again.", "the account's record could not be read (%s)", kindWords(err))
	case !a.Connected:
		return bad(d.connectCure(), "the account was disconnected %s ago, because Google refused its grant; nothing was deleted", duration(d.now().Sub(a.DisconnectedAt)))
	case d.env.client.ID != "" && a.ClientID != d.env.client.ID:
		return bad("Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET back to the client with which the account was connected: Google lets a client change only calendars that it made itself. Without calendars yet, connect again.",
			"the account was connected with another OAuth client than OAUTH_CLIENT_ID")
	case d.env.admins.IntegrationAccount != "" && !signin.SameAddress(a.Email, d.env.admins.IntegrationAccount):
		return bad("Set INTEGRATION_ACCOUNT back to the account that was connected. Another one could not see the calendars that were made.",
			"another account is connected than INTEGRATION_ACCOUNT names")
	}
	d.account = a
	if !a.SuspectSince.IsZero() {
		return warn("Wait a minute and look at the console: if Google refuses the grant again, the account is disconnected and has to be connected again.",
			"for %s, but Google refused the grant once", duration(d.now().Sub(a.ConnectedAt)))
	}
	if in := a.Incident; in != nil {
		return warn(incidents.Cure(d.english, in.Refusal), "for %s, but for %s Google has answered %s", duration(d.now().Sub(a.ConnectedAt)), duration(d.now().Sub(in.Since)), incidents.Text(in.Refusal))
	}
	return ok("for %s", duration(d.now().Sub(a.ConnectedAt)))
}

func (d *doctor) checkScopes(context.Context) verdict {
	var missing []string
	for _, s := range googlecalendar.Scopes() {
		if !slices.Contains(d.account.Scopes, s) {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		v := bad("Press Connect in the console again and tick every box that Google shows.", "%s not granted", verb(len(missing), "1 permission was", "permissions were"))
		v.Details = missing
		return v
	}
	return ok("all of the %d that are needed were granted", len(googlecalendar.Scopes()))
}

const testingCure = "Open " + audiencePage + ": a consent screen in Testing gives grants of seven days. Choose Internal (Workspace) or publish the app, then press Connect again in the console, which gives a grant without an end."

func (d *doctor) checkExpiry(context.Context) verdict {
	end := d.account.GrantExpiresAt
	left := end.Sub(d.now())
	switch {
	case end.IsZero():
		return ok("none is set (unused for six months, it would die)")
	case left <= 0:
		return bad(testingCure, "the grant ended %s ago: the consent screen is in Testing", duration(left))
	case left < soon:
		return warn(testingCure, "the grant ends in %s: the consent screen is in Testing. Then nothing is written any more", duration(left))
	}
	return warn(testingCure, "the grant ends in %s, because the consent screen is in Testing", duration(left))
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
		return bad(d.connectCure()+"\nGrants also die by a changed password, by being revoked at https://myaccount.google.com/connections, or by not being used for six months.",
			"Google refuses the grant (invalid_grant): it has expired or was revoked")
	case reason == "invalid_client", reason == "unauthorized_client":
		return bad(secretCure, "Google does not accept the client (%s)", reason)
	case failure.Is(err, failure.Misconfigured):
		return bad(incidents.Cure(d.english, refusalOf(store.AtToken, err)), "Google gives the account no access (%s)", kindWords(err))
	}
	return bad("Run the doctor again in a few minutes.", "no access token could be had (%s)", kindWords(err))
}

// unpaced lets the doctor's few calls pass: taking slots of the budget would write.
type unpaced struct{}

func (unpaced) Wait(context.Context, string, string) error { return nil }

func (unpaced) Refused(context.Context, string, string) error { return nil }

func (d *doctor) checkCalendar(ctx context.Context) verdict {
	gateway, err := googlecalendar.New(ctx, &http.Client{Transport: &grant.Transport{Source: d.grants, Base: d.transport}}, d.env.google.CalendarEndpoint, unpaced{},
		func(ctx context.Context) (string, error) {
			_, _, err := d.grants.Token(ctx)
			return d.account.Sub, err
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
		return bad("Run the doctor again.", "the list could be read, the installation's record not (%s)", kindWords(err))
	}
	ours, foreign := 0, 0
	for _, c := range calendars {
		switch {
		case !c.Marked || !c.OwnedBy(d.account.Email):
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
		return bad(incidents.Cure(d.english, refusalOf(store.AtAPI, err)), "Google refuses the account (%s)", kindWords(err))
	case failure.Is(err, failure.Exhausted):
		return bad("Wait: Google ends such a pause by itself after hours. The functions wait too, and go on by themselves.", "Google has paused the account (%s): too much was made in a short time", reason)
	case failure.Is(err, failure.RateLimited):
		return warn("Wait a minute. If it stays, lower CALENDAR_REQUESTS_PER_MINUTE to the limit of the project (https://console.cloud.google.com/iam-admin/quotas, Calendar API, per user).",
			"answers that there were too many requests just now (%s)", reason)
	case failure.Is(err, failure.Forbidden):
		return bad("See whether a Workspace admin has switched Calendar off for the account, or blocks the app (Admin console, Security, API controls).", "Google refuses the account (%s)", kindWords(err))
	case failure.Is(err, failure.Gone):
		return bad("Unset CALENDAR_ENDPOINT, unless this is a test.", "there is no Calendar API at CALENDAR_ENDPOINT (%s)", kindWords(err))
	}
	f, known := errors.AsType[*failure.Error](err)
	if known && f.Status != 0 {
		return bad("Look at https://www.google.com/appsstatus/dashboard/ and run the doctor again later.", "the Calendar API fails (%s)", kindWords(err))
	}
	why, cure := unreached(err)
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
	if until := d.account.PausedUntil; until.After(d.now()) {
		add("Google has paused all writes for another "+duration(until.Sub(d.now())), "Wait: Poll goes on by itself when the pause is over. Nothing is lost.")
	}
	if until := d.account.CreationsPausedUntil; until.After(d.now()) {
		add("Google has paused making and sharing calendars for another "+duration(until.Sub(d.now())), "Wait: Poll goes on by itself when the pause is over. Events are written meanwhile.")
	}
	if d.account.PausedFor(d.now()) == failure.ReasonDailyLimit {
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

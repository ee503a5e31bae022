package incidents

import (
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// clientPage is where OAuth clients are kept.
const clientPage = "https://console.cloud.google.com/auth/clients"

// cures say what to do about a reason that Google gives.
var cures = map[string]string{
	"invalid_client":        "Copy id and secret of one OAuth client from " + clientPage + " into OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET.",
	"unauthorized_client":   "Copy id and secret of one OAuth client of type “Web application” from " + clientPage + " into OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET.",
	"deleted_client":        "The OAuth client was deleted. Restore it at " + clientPage + " (deleted clients, within 30 days): the calendars are within reach of that client only.",
	"disabled_client":       "The OAuth client was disabled. Enable it at " + clientPage + ", or ask Google's support why it was disabled.",
	"admin_policy_enforced": "A policy of the Workspace keeps the app out. Trust the client id in the Admin console: Security, API controls, App access control.",
	"org_internal":          "The consent screen is Internal, and the central account is of another organisation. Use an account of the organisation, or make the consent screen External.",
	"access_denied":         "Google denies the account the app. See in the Admin console (Security, API controls) that the app is trusted, and that the account is not suspended.",
	"invalid_scope":         "Google does not grant the permissions asked for. Connect the account again, and tick every box.",
	"accessNotConfigured":   "The Google Calendar API is switched off in the Cloud project of the OAuth client. Enable it there: APIs & Services, Library, Google Calendar API.",
	"SERVICE_DISABLED":      "The Google Calendar API is switched off in the Cloud project of the OAuth client. Enable it there: APIs & Services, Library, Google Calendar API.",
	"notACalendarUser":      "The central account has no Google Calendar. Switch the service Calendar on for it in the Admin console (Apps, Google Workspace, Calendar), or sign in to calendar.google.com with it once.",
	"domainPolicy":          "The Workspace's admins have switched Calendar or its API off for the central account. Switch it on in the Admin console: Apps, Google Workspace, Calendar.",
	"CONSUMER_SUSPENDED":    "Google has suspended the Cloud project of the OAuth client. The project's page in the Cloud console says why, and how to appeal.",
	"CONSUMER_INVALID":      "The Cloud project of the OAuth client is gone. Restore it in the Cloud console (within 30 days).",
	failure.ReasonZone:      "Google takes the time zone of the settings by none of its names. Choose another zone in the settings that has the same hours.",
	"BILLING_DISABLED":      "The Cloud project of the OAuth client has no billing account. Link one in the Cloud console.",
}

// Cure says what an admin can do about a refusal.
func Cure(r store.Refusal) string {
	if cure, known := cures[r.Reason]; known {
		return cure
	}
	switch {
	case r.At == store.AtToken:
		return "Look the code up in Google's OAuth documentation. See that the OAuth client exists (" + clientPage + ") and that the Workspace trusts it, then connect the account again."
	case r.Status == http.StatusBadRequest && (r.At == "calendars.insert" || r.At == "calendars.update" || r.At == "events.insert" || r.At == "events.update"):
		return "Google refuses what is written, for everybody alike. The time zone in the settings is the first suspect: choose another name of the same zone."
	default:
		return "The same is refused for everybody, so the account, its Workspace's policies or the Cloud project is the cause. Look the reason up in Google's documentation of Calendar's errors."
	}
}

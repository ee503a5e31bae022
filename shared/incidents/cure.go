package incidents

import (
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Cure says in a language what an admin can do about a refusal: by the reason that Google gives,
// where that is known.
func Cure(t i18n.Texts, r store.Refusal) string {
	reason := r.Reason
	if reason == "SERVICE_DISABLED" {
		reason = "accessNotConfigured" // another door's word for the same
	}
	switch {
	case reason != "" && t.Has("cure.reason."+reason):
		return t.T("cure.reason." + reason)
	case r.At == store.AtToken:
		return t.T("cure.token")
	case r.Status == http.StatusBadRequest && (r.At == "calendars.insert" || r.At == "calendars.update" || r.At == "events.insert" || r.At == "events.update"):
		return t.T("cure.write")
	default:
		return t.T("cure.else")
	}
}

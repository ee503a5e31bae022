package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// takeoverStore lets an admin decide whose the calendars are that were found (rule 3.13).
type takeoverStore interface {
	// Found reads what was found; found is false where there is nothing to decide.
	Found(ctx context.Context) (rec store.FoundRecord, asked time.Time, found bool, err error)
	// TakeOver has the calendars of a tenant taken over; store.ErrStale: the list is another
	// than the one named by hash, or it is decided.
	TakeOver(ctx context.Context, hash, tenant string) error
	// StartAfresh gives the installation a tenant of its own instead; its errors are the same.
	StartAfresh(ctx context.Context, hash, tenant string) error
}

// question is what an admin has to decide about; the zero value is nothing.
type question struct {
	store.FoundRecord
	asked time.Time
}

func (q question) open() bool { return !q.asked.IsZero() }

// question reads what an admin has to decide about.
func (h *handler) question(ctx context.Context) (question, error) {
	f, asked, found, err := h.Store.Found(ctx)
	if err != nil || !found {
		return question{}, err
	}
	return question{f, asked}, nil
}

// takeoverView is the page on which an admin sees what was found, and decides.
type takeoverView struct {
	Asked   stamp
	Hash    string
	Tenants []foundTenant
	// Dead counts rows of the account's list whose calendars do not answer, Blank calendars
	// of whose description Google gives nothing back.
	Dead, Blank int
}

// foundTenant are the calendars of one installation.
type foundTenant struct {
	Tenant    string
	Count     int
	Calendars []foundRow
	// Here, Elsewhere and Unknown count them by the ERP whose address wrote them.
	Here, Elsewhere, Unknown int
}

type foundRow struct {
	Employee int64
	// Name is the calendar's, Person what this ERP calls the employee of that id; "" for
	// nobody, or where it is the same.
	Name, Person string
}

// showTakeover shows what was found in the account of an empty database.
func (h *handler) showTakeover(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	q, err := h.question(ctx)
	if err != nil {
		h.trouble(w, r, "read what was found", err)
		return
	}
	if !q.open() {
		h.decided(w, r, http.StatusOK)
		return
	}
	employees, err := h.Store.Employees(ctx)
	if err != nil {
		h.trouble(w, r, "read the employees", err)
		return
	}
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	c := h.locale(r, saved.Settings.TimeZone)
	h.show(w, r, http.StatusOK, view{Page: "takeover", Title: c.T("takeover.title"), Session: &s, Body: takeoverView{
		Asked: c.stamp(q.asked), Hash: q.Hash, Tenants: tenantsFound(q.Calendars, employees), Dead: q.Dead, Blank: len(q.Blank),
	}})
}

// tenantsFound sorts what was found by installation, the one with the most calendars first.
func tenantsFound(calendars []store.FoundCalendar, employees []store.EmployeeRecord) []foundTenant {
	names := map[int64]string{}
	for _, e := range employees {
		names[e.ID] = e.Name
	}
	var out []foundTenant
	for _, c := range calendars { // they are in the order of their tenants
		if len(out) == 0 || out[len(out)-1].Tenant != c.Tenant {
			out = append(out, foundTenant{Tenant: c.Tenant})
		}
		t := &out[len(out)-1]
		t.Count++
		switch c.Written {
		case store.WrittenHere:
			t.Here++
		case store.WrittenElsewhere:
			t.Elsewhere++
		case store.WrittenUnknown:
			t.Unknown++
		}
		row := foundRow{Employee: c.Employee, Name: c.Name, Person: names[c.Employee]}
		if row.Person == row.Name {
			row.Person = ""
		}
		t.Calendars = append(t.Calendars, row)
	}
	slices.SortStableFunc(out, func(a, b foundTenant) int { return b.Count - a.Count })
	return out
}

// takeover does what the admin decided: calendars of one installation are taken over, or
// with no tenant named a new one begins beside them.
func (h *handler) takeover(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	hash, tenant, queued := r.PostFormValue("hash"), r.PostFormValue("tenant"), "takeover"
	var err error
	if tenant == "" {
		queued = "afresh"
		err = h.Store.StartAfresh(ctx, hash, uuid.NewString())
	} else {
		err = h.Store.TakeOver(ctx, hash, tenant)
	}
	switch {
	case errors.Is(err, store.ErrStale):
		h.decided(w, r, http.StatusConflict)
		return
	case err != nil:
		h.trouble(w, r, "decide whose the calendars are", err)
		return
	}
	h.Log.WarnContext(r.Context(), "an admin decided whose the found calendars are", "how", queued, "sub", s.Sub, "list", hash, "tenant", tenant)
	if h.publish(w, r, h.cfg.EmployeeTopic, everybody()) {
		h.goBack(w, r, "queued", queued)
	}
}

// decided says that there is nothing to decide, or not what the admin saw.
func (h *handler) decided(w http.ResponseWriter, r *http.Request, status int) {
	t := h.texts(r)
	m := message{Title: t.T("takeover.decided.title"), Text: t.T("takeover.decided.text"), Link: h.console.URL("/", nil), LinkText: t.T("takeover.decided.link")}
	if status == http.StatusConflict {
		m = message{Title: t.T("takeover.changed.title"), Text: t.T("takeover.changed.text"), Link: h.console.URL("/takeover", nil), LinkText: t.T("takeover.changed.link")}
	}
	h.message(w, r, status, m)
}

// undecided tells an admin who wants something that needs the decision first, or what is
// taken over by it; is reports whether it does.
func (h *handler) undecided(w http.ResponseWriter, r *http.Request, in store.InstallationRecord) (is bool) {
	t := h.texts(r)
	switch {
	case in.TakingOver != "":
		h.message(w, r, http.StatusConflict, message{Title: t.T("flash.takeover.title"), Text: t.T("flash.takeover.text"),
			Link: h.console.URL("/", nil), LinkText: t.T("takeover.decided.link")})
		return true
	case !in.Undecided():
		return false
	}
	h.message(w, r, http.StatusConflict, message{Title: t.T("takeover.first.title"), Text: t.T("takeover.first.text"),
		Link: h.console.URL("/takeover", nil), LinkText: t.T("takeover.notice.link")})
	return true
}

package console

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// settingsHistory has every version of the settings.
type settingsHistory interface {
	// SettingsHistory lists versions before one (0: all), the latest first.
	SettingsHistory(ctx context.Context, before int64, limit int) ([]store.SettingsRecord, error)
	// SettingsVersion reads one version; found is false where there is none.
	SettingsVersion(ctx context.Context, version int64) (rec store.SettingsRecord, found bool, err error)
}

// historyView is the list of what was saved.
type historyView struct {
	Versions []versionRow
	Older    string // leads to earlier ones; "" where there are none
}

// versionRow is one save: what it changed, and what came of it.
type versionRow struct {
	Version int64
	By      string
	At      stamp
	// Changes are against the version before; First: there is none to compare with.
	Changes []difference
	First   bool
	Outcome []string
	InForce bool
	// Unreadable: of a release whose settings were others.
	Unreadable bool
}

// showHistory lists what was saved, the latest first.
func (h *handler) showHistory(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // what is no number begins at the latest
	recs, err := h.Store.SettingsHistory(ctx, max(before, 0), historyRows+1)
	if err != nil {
		h.trouble(w, r, "list earlier settings", err)
		return
	}
	c := h.locale(r, saved.Settings.TimeZone)
	v := historyView{}
	for i, rec := range recs[:min(len(recs), historyRows)] {
		var earlier *store.SettingsRecord
		if i+1 < len(recs) {
			earlier = &recs[i+1]
		}
		v.Versions = append(v.Versions, versionOf(c, rec, earlier, saved))
	}
	if len(recs) > historyRows {
		v.Older = fmt.Sprintf("/settings/history?before=%d", recs[historyRows-1].Version)
	}
	h.show(w, r, http.StatusOK, view{Page: "history", Menu: "settings", Title: c.T("history.title"), Session: &s, Body: v})
}

// historyRows is how many versions a page shows.
const historyRows = 20

// versionOf describes one version beside the one before it; nil where that is not known.
func versionOf(c locale, rec store.SettingsRecord, earlier *store.SettingsRecord, saved settings.Saved) versionRow {
	row := versionRow{Version: rec.Version, By: rec.SavedBy, At: c.stamp(rec.SavedAt), First: earlier == nil, InForce: rec.Version == saved.Version}
	now, err := parsed(rec, saved)
	if err != nil {
		row.Unreadable = true
		return row
	}
	if earlier != nil {
		if was, err := parsed(*earlier, saved); err == nil {
			row.Changes = differences(c.Texts, now, was)
			if was.Confirmed != now.Confirmed {
				row.Changes = append(row.Changes, difference{Label: label(c.Texts, "confirmed"), Mine: onOff(c.Texts, now.Confirmed), Theirs: onOff(c.Texts, was.Confirmed)})
			}
		}
	}
	if p := rec.Plan; p != nil && p.At.Equal(rec.SavedAt) {
		for _, n := range []struct {
			count int
			text  func(int) string
		}{
			{p.Made, func(n int) string { return c.N("history.made", n) }}, {p.Deleted, func(n int) string { return c.N("history.deleted", n) }},
			{p.Events, func(n int) string { return c.N("history.events", n) }}, {p.Renamed, func(n int) string { return c.N("history.renamed", n) }},
			{p.Rewritten, func(n int) string { return c.N("history.rewritten", n) }},
		} {
			if n.count > 0 {
				row.Outcome = append(row.Outcome, n.text(n.count))
			}
		}
	}
	return row
}

// parsed reads the settings of a version.
func parsed(rec store.SettingsRecord, saved settings.Saved) (calendarsync.Settings, error) {
	base := calendarsync.DefaultSettings()
	base.TaskURL = saved.Settings.TaskURL
	return settings.Parse([]byte(rec.JSON), base)
}

// restoreSettings shows what an earlier version would do now: it is saved as a new one, after a
// plan like every other.
func (h *handler) restoreSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil || version <= 0 {
		h.notFound(w, r, s)
		return
	}
	rec, found, err := h.Store.SettingsVersion(ctx, version)
	if err != nil {
		h.trouble(w, r, "read earlier settings", err)
		return
	}
	next, err := parsed(rec, saved)
	if !found || err != nil {
		h.notFound(w, r, s)
		return
	}
	// Whether anything was confirmed is no setting to go back to (rule 4.7).
	next.Confirmed = saved.Settings.Confirmed
	erp := h.readERP(r)
	if faults := checkAgainstERP(saved, next, erp); len(faults) > 0 {
		h.form(w, r, http.StatusUnprocessableEntity, s, saved, typedFrom(next), faults, erp, settingsView{NotSaved: true})
		return
	}
	p := proposal{by: signin.Hash(s.Sub), saved: saved, next: next, erp: erp, afresh: true}
	made, err := h.makePlan(r.Context(), p)
	if err != nil {
		h.trouble(w, r, "count what the settings would do", err)
		return
	}
	// A plan is shown even where nothing changes: nobody has seen these settings just now.
	h.showPlan(w, r, http.StatusOK, s, p, made, planView{})
}

package simulation

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// configure has the admin save settings on top of those in force.
func (w *world) configure(change func(*calendarsync.Settings)) error {
	next := w.settings
	next.Colors, next.ShownRoles = maps.Clone(next.Colors), slices.Clone(next.ShownRoles)
	change(&next)
	done := w.act("save settings", func(b *browser) (bool, *page, error) {
		p, err := b.open("/settings")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		f, ok := p.form("/settings")
		if !ok {
			return false, p, nil
		}
		fill(f, next)
		// From now on either may be in force.
		w.inForce(next)
		w.inForce(w.settings)
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		// What changes something is a plan first; the admin means it.
		if f, planned := p.form("/settings/apply"); planned && p.status == http.StatusOK {
			f.values.Set("sure", "yes")
			f.values.Del("later")
			if p, err = b.press(f); err != nil {
				return false, p, err
			}
		}
		if p.at.Query().Get("queued") == "saved-unqueued" {
			if p, err = b.open("/"); err != nil {
				return false, p, err
			}
			return w.press(b, p, "/run", "queued")
		}
		return p.at.Query().Get("queued") == "saved", p, nil
	})
	if err := w.readSettings(); err != nil {
		return err
	}
	s := w.settings
	if want := typed(next); done && !maps.Equal(typed(s), want) {
		w.violate("settings are kept as they were typed", "%v instead of %v", typed(s), want)
	}
	w.note("settings saved: enabled %v, zone %s, departments %v, binding %d, roles %v", s.Enabled, s.TimeZone, s.IncludeDepartments, s.BindingField, s.ShownRoles)
	return nil
}

// readSettings reads which settings are in force, and tells the auditor.
func (w *world) readSettings() error {
	saved, err := settings.NewSource(store.New(w.memory), w.config.DefaultSettings.JSON, w.config.ERP.URL, time.Now).Saved(w.ctx)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	w.settings = saved.Settings
	w.inForce(w.settings)
	return nil
}

// typed are settings as they are typed into the form, each colour and role by itself.
func typed(s calendarsync.Settings) map[string]string {
	out := map[string]string{
		"time_zone": s.TimeZone, "binding_field": strconv.FormatInt(int64(s.BindingField), 10), "calendar_id_field": strconv.FormatInt(int64(s.CalendarIDField), 10),
		"backfill_hours": strconv.Itoa(s.BackfillHours), "default_duration_minutes": strconv.Itoa(s.DefaultDurationMinutes),
		"calendar_name": s.CalendarName, "event_title": s.EventTitle, "event_description": s.EventDescription, "task_url": s.TaskURL,
		"language": s.Language, "delete_guard_percent": strconv.Itoa(s.DeleteGuardPercent),
	}
	for name, on := range map[string]bool{"enabled": s.Enabled, "include_departments": s.IncludeDepartments, "midnight_is_all_day": s.MidnightIsAllDay} {
		if on {
			out[name] = "true"
		}
	}
	for kind, color := range s.Colors {
		out["color_"+kind] = strconv.Itoa(color)
	}
	for _, r := range s.ShownRoles {
		out["role "+strconv.FormatInt(int64(r), 10)] = "shown"
	}
	return out
}

// fill types settings into the form, and chooses from the ERP's catalogue where the
// page shows it.
func fill(f form, s calendarsync.Settings) {
	for _, name := range []string{"enabled", "include_departments", "midnight_is_all_day", "shown_roles"} {
		f.values.Del(name)
	}
	var colors []string
	for name := range f.boxes {
		f.values.Del(name)
	}
	for _, name := range f.names {
		if strings.HasPrefix(name, "color_") {
			f.values.Set(name, "")
		}
	}
	for name, value := range typed(s) {
		if kind, ok := strings.CutPrefix(name, "color_"); ok && !slices.Contains(f.names, name) {
			colors = append(colors, kind+" = "+value)
		} else if !strings.HasPrefix(name, "role ") {
			f.values.Set(name, value)
		}
	}
	for _, color := range colors {
		if kind, _, _ := strings.Cut(color, " = "); !slices.Contains(f.names, "colors") {
			delete(s.Colors, kind) // the ERP showed half its catalogue: it cannot be picked
		}
	}
	if slices.Contains(f.names, "colors") {
		slices.Sort(colors)
		f.values.Set("colors", strings.Join(colors, "\n"))
	}
	var rest []string
	for _, r := range s.ShownRoles {
		id := strconv.FormatInt(int64(r), 10)
		if slices.Contains(f.boxes["shown_roles"], id) {
			f.values.Add("shown_roles", id)
		} else {
			rest = append(rest, id)
		}
	}
	f.values.Add("shown_roles", strings.Join(rest, ", "))
}

// inForce tells the auditor of settings from now on.
// inForce tells the auditor of settings. It knows roles by their numbers.
func (w *world) inForce(s calendarsync.Settings) {
	s.ShownRoles = byNumber(s.ShownRoles)
	w.auditor.Settings(s)
}

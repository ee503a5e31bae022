package simulation

import (
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// respellRoles is an update of the ERP, after which its catalogue gives roles as texts instead
// of numbers, or as numbers again. Whoever makes it mends the catalogue, too.
func (w *world) respellRoles() error {
	if !w.draws("E3") {
		return errNothingToDo
	}
	w.erp.ChangeWays(func(to *fakeerp.Ways) {
		to.RolesAsText, to.OddRoles = !to.RolesAsText, nil
		w.note("the ERP gives roles as text: %v", to.RolesAsText)
	})
	return nil
}

// shownRoles are the roles that histories begin with, as an admin chooses them from the ERP's
// catalogue.
func shownRoles(ways fakeerp.Ways) []calendarsync.RoleID {
	out := []calendarsync.RoleID{calendarsync.RoleID(fakeerp.RoleNotCompleted), calendarsync.RoleID(fakeerp.RoleInProgress)}
	if ways.RolesAsText {
		for i, r := range out {
			out[i] = userside.TextRole(fakeerp.RoleText(int64(r)))
		}
	}
	return out
}

// spelledRoles are roles as the settings name them: as the product met them first, or, where it
// has not met them yet, will do.
func (w *world) spelledRoles(roles ...int64) []calendarsync.RoleID {
	known, err := store.New(w.memory).KnownRoles(w.ctx)
	w.fail(err)
	asText := false
	w.erp.ChangeWays(func(now *fakeerp.Ways) { asText = now.RolesAsText })
	numbers := slices.ContainsFunc(known.Spellings, func(s store.RoleSpelling) bool { return s.Text == "" })
	out := make([]calendarsync.RoleID, len(roles))
	for i, role := range roles {
		out[i] = calendarsync.RoleID(role)
		if asText && !numbers {
			out[i] = userside.TextRole(fakeerp.RoleText(role))
		}
		for _, s := range known.Spellings {
			if s.Text == "" && s.Number == role || s.Text == strings.ToLower(fakeerp.RoleText(role)) {
				out[i] = calendarsync.RoleID(s.Role)
			}
		}
	}
	return out
}

// chooseRolesAnew has an admin choose the shown roles as they are spelled now, where nobody knows
// which of those that were chosen are the same (rule 4.16).
func (w *world) chooseRolesAnew() {
	spelled := w.spelledRoles(calendarsync.IDs[int64](byNumber(w.settings.ShownRoles))...)
	if !slices.Equal(spelled, w.settings.ShownRoles) {
		w.fail(w.configure(func(c *calendarsync.Settings) { c.ShownRoles = spelled }))
	}
}

// roleTextsAreKnown reports whether the product has met the texts of all roles.
func (w *world) roleTextsAreKnown() bool {
	known, err := store.New(w.memory).KnownRoles(w.ctx)
	w.fail(err)
	for _, role := range []int64{fakeerp.RoleNotCompleted, fakeerp.RoleInProgress, fakeerp.RoleCompleted, fakeerp.RolePostponed} {
		text := strings.ToLower(fakeerp.RoleText(role))
		if !slices.ContainsFunc(known.Spellings, func(s store.RoleSpelling) bool { return s.Text == text }) {
			return false
		}
	}
	return true
}

// byNumber names roles by the ERP's numbers, which are the same however it spells them.
func byNumber(roles []calendarsync.RoleID) []calendarsync.RoleID {
	out := slices.Clone(roles)
	for i, r := range out {
		for _, number := range []int64{fakeerp.RoleNotCompleted, fakeerp.RoleInProgress} {
			if r == userside.TextRole(fakeerp.RoleText(number)) {
				out[i] = calendarsync.RoleID(number)
			}
		}
	}
	return out
}

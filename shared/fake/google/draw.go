package google

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Draw gives a Google at random: about a quarter of the ways are set, each by itself,
// so that they meet one another. Its spells begin within span. zone is a name that the
// caller sends, which may be refused or answered by another name for it; domain is
// that of the owner's organisation.
func Draw(r *rand.Rand, span time.Duration, zone, domain string) Ways {
	d := dice{r}
	var w Ways
	if d.one(4) {
		w.StaleRows = d.of(-1, time.Hour, 24*time.Hour, 5*24*time.Hour)
	}
	if link := linkName(zone); link != "" {
		switch r.IntN(8) {
		case 0, 1:
			w.ZonesAliased = map[string]string{zone: link}
		case 2:
			w.ZonesRefused = []string{zone}
		}
	}
	if d.one(4) {
		w.Texts = Folding{NFC: d.one(2), Blanks: d.one(2), Trim: d.one(2), AtOnce: d.one(2)}
	}
	if d.one(4) {
		w.Descriptions = DescriptionForm{
			Breaks: []Breaks{BreaksKept, BreaksToBlank, BreaksToCRLF}[r.IntN(3)], Escaped: d.one(3), Answers: d.one(2), Lists: true,
		}
		if d.one(4) {
			w.Descriptions.Answers, w.Descriptions.Lists = true, false
		}
	}
	if d.one(4) {
		w.Outside = []Outside{OutsideRefused, OutsideLowered, OutsideBlind}[r.IntN(3)]
	}
	if d.one(4) {
		w.DefaultRules = []DefaultRule{{Type: "domain", Value: domain, Role: []string{"reader", "freeBusyReader"}[r.IntN(2)]}}
	}
	w.GmailSpelling = d.one(4)
	if d.one(6) {
		w.GroupsOneIn = 1 + r.IntN(3)
	}
	w.InvitationsHidden = d.one(6)
	d.limits(&w)
	if d.one(4) {
		w.PreconditionsOneIn = 2 + r.IntN(5)
	}
	w.CancelledBare = d.one(4)
	if d.one(4) {
		w.CancelledGoneAfter = d.of(time.Minute, time.Hour, 24*time.Hour)
	}
	if d.one(6) {
		w.ReachLost = []int{http.StatusNotFound, http.StatusForbidden}[r.IntN(2)]
	}
	w.UTF16 = d.one(4)
	if d.one(4) {
		w.ListDelayUpTo = d.of(2*time.Minute, 2*time.Hour, 24*time.Hour)
	}
	for range r.IntN(4) {
		spell := DrawSpell(r)
		spell.After = time.Duration(r.Int64N(int64(max(span, 1))))
		w.Spells = append(w.Spells, spell)
	}
	if d.one(12) {
		w.Descriptions = DescriptionForm{Lost: true, Answers: true, Lists: true}
	}
	w.PropertiesLost = d.one(12)
	return w
}

// DrawSpell gives a spell at random, to be begun in the middle of a history: it
// waits for nothing and ends by itself, after a moment or hours.
func DrawSpell(r *rand.Rand) Spell {
	d := dice{r}
	var spell Spell
	switch r.IntN(9) {
	case 0, 1, 2, 3:
		body := []BodyForm{BodyWithStatus, BodyWithoutStatus, BodyHTML, BodyEmpty}[r.IntN(4)]
		var methods []string // all
		if d.one(2) {
			methods = [][]string{
				{"calendar.calendars.get"}, {"calendar.events.list"}, {"calendar.events.insert"}, {"calendar.acl.*"}, {"calendar.events.*"},
				{"calendar.calendars.get", "calendar.events.list"}, {"calendar.calendarList.list"},
			}[r.IntN(7)]
		}
		spell = NotFoundSpell(body, methods...)
		if len(methods) == 0 || methods[0] != "calendar.calendarList.list" { // which names no calendar
			spell.OneCalendarIn = r.IntN(4) // 0 and 1: all of the account
		}
	case 4, 5:
		spell = AccountRefusal([]string{"accessNotConfigured", "notACalendarUser", "dailyLimitExceeded"}[r.IntN(3)])
		if spell.Reason == "accessNotConfigured" && d.one(2) {
			spell.Body = BodyDetailsOnly
		}
	case 6:
		spell = TokenRefusal([]string{"deleted_client", "disabled_client", "admin_policy_enforced", "org_internal", "access_denied", "rapt_required"}[r.IntN(6)])
	case 7:
		spell = WritesLocked()
	default:
		spell = PreconditionSpell()
	}
	spell.For = d.of(2*time.Second, time.Minute, 20*time.Minute, 3*time.Hour)
	if strings.HasPrefix(spell.Name, "G11") {
		spell.For = min(spell.For, time.Minute)
	}
	return spell
}

// limits draws those of creations.
func (d dice) limits(w *Ways) {
	if d.one(6) {
		w.CalendarsPerHour = 1 + d.IntN(5)
	}
	if d.one(6) {
		w.CalendarsPerDay = 2 + d.IntN(10)
	}
	if d.one(6) {
		w.SharesPerDay = 2 + d.IntN(10)
	}
	w.CreationLocksAll = d.one(6)
}

type dice struct{ *rand.Rand }

// one is true once in n times.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func (d dice) of(among ...time.Duration) time.Duration { return among[d.IntN(len(among))] }

// linkName gives another name by which the time zone database knows a zone, "" if
// this package knows none.
func linkName(zone string) string {
	return map[string]string{
		"Europe/Kyiv": "Europe/Kiev", "Asia/Kolkata": "Asia/Calcutta", "Asia/Ho_Chi_Minh": "Asia/Saigon",
		"Asia/Yangon": "Asia/Rangoon", "Asia/Kathmandu": "Asia/Katmandu", "America/Nuuk": "America/Godthab",
	}[zone]
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
)

func TestAgainstTheGoogleThatIsAssumed(t *testing.T) {
	r := newRig(t)
	code, found := r.probe(t.Context(), "-share", outsider, "-reader")
	r.clean(2)
	for _, f := range found.Findings {
		if f.ID == "reach" {
			if f.Product != open {
				t.Errorf("%+v", f)
			}
			continue
		}
		if f.Answer != f.StandIn || f.Product != right {
			t.Errorf("%+v", f)
		}
	}
	if code != 0 || !found.OK || len(found.LeftBehind) > 0 || found.Calls == 0 {
		t.Errorf("exit %d, %+v\n%s", code, found.Counts, r.errs.Bytes())
	}
}

// TestEachWayIsFound plays each way by itself: its question has the answer, and no
// other question another one than usual.
func TestEachWayIsFound(t *testing.T) {
	kyiv := "Europe/Kyiv"
	rows := []struct {
		name    string
		ways    google.Ways
		want    map[string]string // id to answer
		product verdict           // of those
	}{
		{"404 spell", google.Ways{Spells: []google.Spell{{Fault: google.NotFoundSpell(google.BodyHTML, "calendar.events.list").Fault, For: 8 * time.Second}}},
			map[string]string{"not-found": "met"}, right},
		{"stale for ever", google.Ways{StaleRows: -1}, map[string]string{"stale-row": "not within the time"}, wrong},
		{"stale for a while", google.Ways{StaleRows: 3 * time.Minute}, map[string]string{"stale-row": "dropped later"}, right},
		{"zone refused", google.Ways{ZonesRefused: []string{kyiv}}, map[string]string{"zone-taken": "refused"}, right},
		{"zone refused by every name", google.Ways{ZonesRefused: []string{kyiv, "Europe/Kiev"}}, map[string]string{"zone-taken": "refused by every name"}, right},
		{"zone aliased", google.Ways{ZonesAliased: map[string]string{kyiv: "Europe/Kiev"}}, map[string]string{"zone-of-calendars": "renamed", "zone-of-events": "renamed"}, ""},
		{"texts composed later", google.Ways{Texts: google.Folding{NFC: true}}, map[string]string{"texts-of-events": "otherwise than answered", "name-of-calendars": "folded"}, right},
		{"blanks folded later", google.Ways{Texts: google.Folding{Blanks: true}}, map[string]string{"texts-of-events": "otherwise than answered", "name-of-calendars": "folded"}, right},
		{"trimmed later", google.Ways{Texts: google.Folding{Trim: true}}, map[string]string{"texts-of-events": "otherwise than answered"}, right},
		{"composed at once", google.Ways{Texts: google.Folding{NFC: true, AtOnce: true}}, map[string]string{"name-of-calendars": "folded"}, right},
		{"description in one line", google.Ways{Descriptions: google.DescriptionForm{Breaks: google.BreaksToBlank, Answers: true, Lists: true}}, map[string]string{"mark": "found"}, right},
		{"in lists only", google.Ways{Descriptions: google.DescriptionForm{Breaks: google.BreaksToBlank, Lists: true}}, map[string]string{"mark": "found"}, right},
		{"in answers only", google.Ways{Descriptions: google.DescriptionForm{Breaks: google.BreaksToBlank, Answers: true}}, map[string]string{"mark": "found"}, right},
		{"CRLF", google.Ways{Descriptions: google.DescriptionForm{Breaks: google.BreaksToCRLF, Answers: true, Lists: true}}, map[string]string{"mark": "found"}, right},
		{"mark lost in lists", google.Ways{Descriptions: google.DescriptionForm{Lost: true, Lists: true}}, map[string]string{"mark": "lost in lists"}, wrong},
		{"mark lost in answers", google.Ways{Descriptions: google.DescriptionForm{Lost: true, Answers: true}}, map[string]string{"mark": "lost in answers"}, right},
		{"mark lost everywhere", google.Ways{Descriptions: google.DescriptionForm{Lost: true, Answers: true, Lists: true}}, map[string]string{"mark": "lost everywhere"}, right},
		{"escaped", google.Ways{Descriptions: google.DescriptionForm{Escaped: true, Answers: true, Lists: true}}, map[string]string{"mark": "found"}, right},
		{"outside refused", google.Ways{Outside: google.OutsideRefused}, map[string]string{"share": "refused", "readers-view": "", "address": "", "invitation": "", "unshare": ""}, ""},
		{"outside lowered", google.Ways{Outside: google.OutsideLowered}, map[string]string{"share": "lowered", "readers-view": loweredView}, right},
		{"outside blind", google.Ways{Outside: google.OutsideBlind}, map[string]string{"readers-view": "busy only"}, wrong},
		{"default rules", google.Ways{DefaultRules: []google.DefaultRule{{Type: "domain", Value: "firm.example", Role: "reader"}}}, map[string]string{"default-rules": "some"}, right},
		{"gmail respelled", google.Ways{GmailSpelling: true}, map[string]string{"address": "respelled"}, right},
		{"invitations hidden", google.Ways{InvitationsHidden: true}, map[string]string{"invitation": "hidden"}, wrong},
		{"stray 412", google.Ways{PreconditionsOneIn: 4}, map[string]string{"precondition": "met"}, right},
		{"cancelled bare", google.Ways{CancelledBare: true}, map[string]string{"cancelled": "its id"}, right},
		{"cancelled gone", google.Ways{CancelledGoneAfter: 30 * time.Second}, map[string]string{"cancelled": "nothing"}, right},
		{"UTF-16", google.Ways{UTF16: true}, map[string]string{"length": "yes"}, right},
		{"rules of own calendars only", google.Ways{Rules: google.RulesOfOwn}, map[string]string{"rules": "of others denied"}, right},
		{"rules of deleted calendars", google.Ways{Rules: google.RulesOfDeleted}, map[string]string{"rules": "of deleted listed"}, wrong},
		{"late list", google.Ways{ListDelayUpTo: 24 * time.Hour}, map[string]string{"listed": "not within the time", "stale-row": ""}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, func(o *google.Options) { o.Ways = row.ways })
			code, found := r.probe(t.Context(), "-share", outsider, "-reader")
			r.clean(2)
			anyWrong := false
			for _, f := range found.Findings {
				want, named := row.want[f.ID]
				switch {
				case !named && f.ID != "reach" && (f.Answer != f.StandIn || f.Product != right):
					t.Errorf("beside it: %+v", f)
				case named && (f.Answer != want || row.product != "" && f.Product != row.product):
					t.Errorf("%+v, want %q", f, want)
				}
				anyWrong = anyWrong || f.Product == wrong
			}
			if want := map[bool]int{false: 0, true: 1}[anyWrong]; code != want {
				t.Errorf("exit %d, want %d\n%s", code, want, r.errs.Bytes())
			}
		})
	}
}

// TestOwnCalendarThatAnswersLeavesItOpen: where the account's own calendar is shown to the client,
// it is none that stands for another client's.
func TestOwnCalendarThatAnswersLeavesItOpen(t *testing.T) {
	p := newProbe()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer server.Close()
	p.google = &client{http: server.Client(), endpoint: server.URL + "/", pause: func(context.Context, time.Duration) error { return nil }}
	if err := p.rulesOfOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.scratch.gone = true
	if err := p.rulesOfDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := p.finding("rules"); f.Product != open || f.Answer != "" {
		t.Errorf("%+v", f)
	}
}

// TestDrawnGoogles lets the ways meet one another: whatever Google does, what was made
// is removed, nothing else is written, and each question has an answer or a reason.
func TestDrawnGoogles(t *testing.T) {
	answers := map[string]map[string]bool{}
	for seed := range uint64(60) {
		ways := google.Draw(mathrand.New(mathrand.NewPCG(seed, 5)), time.Nanosecond, "Europe/Kyiv", "firm.example")
		if seed%2 == 0 {
			ways.Spells = nil
		}
		r := newRig(t, func(o *google.Options) { o.Ways = ways })
		code, found := r.probe(t.Context(), "-share", outsider, "-reader")
		left := len(found.LeftBehind)
		if left == 0 {
			r.clean(2)
		}
		if left > 0 && len(ways.Spells) == 0 || code == 0 && found.Counts[wrong]+found.Counts[failed] > 0 {
			t.Errorf("seed %d (%s): exit %d, left behind %q", seed, ways, code, found.LeftBehind)
		}
		for _, f := range found.Findings {
			if f.Answer == "" && f.Detail == "" || f.Harm == "nobody thought of this answer" && len(ways.Spells) == 0 {
				t.Errorf("seed %d (%s): %+v", seed, ways, f)
			}
			if answers[f.ID] == nil {
				answers[f.ID] = map[string]bool{}
			}
			answers[f.ID][f.Answer] = true
		}
	}
	for _, q := range questions() {
		if len(answers[q.id]) < 2 && q.id != "revival" && q.id != "unshare" && q.id != "reach" && q.id != "rules" {
			t.Errorf("%s was always answered alike: %v", q.id, answers[q.id])
		}
	}
}

// TestARefusalInOtherWords: the product tells a refused zone by Google's words, so other
// words are an answer with which it is wrong.
func TestARefusalInOtherWords(t *testing.T) {
	r := newRig(t)
	r.google.Inject(google.Fault{Method: "calendar.calendars.insert", Count: 2, Status: 400, Reason: "invalid"})
	code, found := r.probe(t.Context())
	r.clean(2)
	if f := found.of("zone-taken"); f.Answer != "refused in other words" || f.Product != wrong || code != 1 {
		t.Errorf("exit %d, %+v", code, f)
	}
}

func TestHowAnAddressIsSpelled(t *testing.T) {
	for name, row := range map[string]struct {
		kind, value, want string
		product           verdict
	}{
		"as sent":        {"user", "Ivan.Petrov@gmail.com", asSent, right},
		"without dots":   {"user", "ivanpetrov@gmail.com", "respelled", right},
		"googlemail.com": {"user", "ivanpetrov@googlemail.com", "respelled", right},
		"a group":        {"group", outsider, "group", right},
		"another":        {"user", "ivan@firm.example", "another", wrong},
		"another group":  {"group", "crew@firm.example", "another", wrong},
	} {
		p := newProbe()
		p.share = outsider
		p.judgeAddress(object{"id": row.kind + ":" + row.value, "scope": object{"type": row.kind, "value": row.value}})
		if f := p.finding("address"); f.Answer != row.want || f.Product != row.product {
			t.Errorf("%s: %+v", name, *f)
		}
	}
}

func TestAGroupIsFound(t *testing.T) {
	r := newRig(t, func(o *google.Options) { o.Ways.GroupsOneIn = 1 })
	_, found := r.probe(t.Context(), "-share", "crew@elsewhere.example")
	r.clean(2)
	if f := found.of("address"); f.Answer != "group" || f.Product != right || f.Does == "" {
		t.Errorf("%+v", f)
	}
	if f := found.of("readers-view"); f.Product != open {
		t.Errorf("nobody asked the reader: %+v", f)
	}
}

// TestWhatHitsTheAccountIsNamed: the cause is an answer, the rest is not found out.
func TestWhatHitsTheAccountIsNamed(t *testing.T) {
	for name, row := range map[string]struct {
		spell  google.Spell
		id     string
		answer string
		code   int
	}{
		"API off":          {google.AccountRefusal("accessNotConfigured"), "account", "accessNotConfigured", 2},
		"no Calendar user": {google.AccountRefusal("notACalendarUser"), "account", "notACalendarUser", 2},
		"the day's limit":  {google.AccountRefusal(dailyLimit), "account", dailyLimit, 2},
		"something new":    {google.AccountRefusal("neverHeardOf"), "account", "neverHeardOf", 2},
		"client deleted":   {google.TokenRefusal("deleted_client"), "account", "deleted_client", 2},
		"policy":           {google.TokenRefusal("admin_policy_enforced"), "account", "admin_policy_enforced", 2},
		"client unknown":   {google.TokenRefusal("invalid_client"), "account", "invalid_client", 2},
		"writes locked":    {google.WritesLocked(), "creation", "quotaExceeded", 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *google.Options) { o.Ways.Spells = []google.Spell{row.spell} })
			code, found := r.probe(t.Context(), "-share", outsider)
			r.clean(2)
			if f := found.of(row.id); f.Answer != row.answer || code != row.code {
				t.Errorf("exit %d, %+v", code, f)
			}
			if f := found.of("mark"); f.Product != failed || f.Detail == "" {
				t.Errorf("the rest: %+v", f)
			}
		})
	}
	t.Run("a limit by the day", func(t *testing.T) {
		r := newRig(t, func(o *google.Options) { o.Ways.CalendarsPerDay = 1 })
		if code, _ := r.probe(t.Context()); code != 0 {
			t.Errorf("exit %d", code)
		}
		code, found := r.probe(t.Context())
		r.clean(2)
		if f := found.of("creation"); f.Answer != "quotaExceeded" || code != 2 {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	t.Run("denied", func(t *testing.T) {
		r := newRig(t)
		r.browser = func(address string) string {
			back, err := r.google.Deny(address)
			if err != nil {
				t.Error(err)
			}
			return back
		}
		code, found := r.probe(t.Context())
		if f := found.of("account"); f.Answer != "access_denied" || code != 2 {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	t.Run("another account", func(t *testing.T) {
		r := newRig(t)
		r.browser = func(address string) string {
			back, err := r.google.Approve(address, outsider)
			if err != nil {
				t.Error(err)
			}
			return back
		}
		code, found := r.probe(t.Context())
		if code != 2 || found.of("account").Product != failed || len(r.google.Calendars()) != 2 {
			t.Errorf("exit %d, %+v", code, found.of("account"))
		}
	})
}

// TestReachOfAnEarlierConsent: calendars with the product's mark are read, and only
// read.
func TestReachOfAnEarlierConsent(t *testing.T) {
	const mark = `erp-calendar/1 tenant=t employee=1 epoch=e from=2026-01-01T00:00:00Z`
	for name, row := range map[string]struct {
		ways    google.Ways
		prepare func(r *rig, id string)
		want    string
	}{
		"within":  {google.Ways{}, func(*rig, string) {}, "yes"},
		"lost":    {google.Ways{ReachLost: 403}, func(r *rig, _ string) { r.must(r.google.RevokeGrant(account)) }, "no"},
		"deleted": {google.Ways{StaleRows: -1}, func(r *rig, id string) { r.must(r.google.DeleteCalendar(id)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *google.Options) { o.Ways = row.ways })
			body, err := json.Marshal(object{"summary": "Olena", "description": mark})
			r.must(err)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+"/google/calendar/v3/calendars", bytes.NewReader(body))
			r.must(err)
			req.Header.Set("Content-Type", "application/json")
			res, err := r.google.Client(account, "calendar.app.created").Do(req)
			r.must(err)
			_ = res.Body.Close()
			id := r.google.Calendars()[2].ID
			row.prepare(r, id)
			r.google.ResetRequests()
			_, found := r.probe(t.Context())
			r.clean(3)
			if f := found.of("reach"); f.Answer != row.want {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestWhatWasMadeIsRemoved whatever ends the probe.
func TestWhatWasMadeIsRemoved(t *testing.T) {
	for name, row := range map[string]struct {
		fault google.Fault
		code  int
	}{
		"a failure in the middle":       {google.Fault{Method: "calendar.events.update", Count: -1, Status: 403, Reason: "forbidden"}, 2},
		"the answer to its making lost": {google.Fault{Method: "calendar.calendars.insert", LoseResponse: true}, 0},
		"the answer to an event lost":   {google.Fault{Method: "calendar.events.insert", LoseResponse: true}, 0},
		"errors that pass":              {google.Fault{Method: "calendar.*", Nth: 6, Count: 2, Status: 503}, 0},
		"a rate limit":                  {google.Fault{Method: "calendar.*", Nth: 11, Count: 3, Status: 403, Reason: "rateLimitExceeded"}, 0},
		"the deletion fails at first":   {google.Fault{Method: "calendar.calendars.delete", Count: 6, Status: 500}, 2},
		"an event does not live again":  {google.Fault{Method: "calendar.events.update", Nth: 13, Status: 400, Reason: "invalid"}, 1},
		"another id has to do":          {google.Fault{Method: "calendar.events.update", Nth: 13, Status: 403, Reason: "forbidden"}, 0},
		"nothing can be read":           {google.Fault{Method: "calendar.events.get", Count: -1, Status: 404}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.google.Inject(row.fault)
			code, found := r.probe(t.Context(), "-share", outsider)
			r.clean(2)
			if code != row.code || len(found.LeftBehind) > 0 {
				t.Errorf("exit %d, left behind %q, %+v\n%s", code, found.LeftBehind, found.Counts, r.errs.Bytes())
			}
		})
	}
	t.Run("Ctrl-C", func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.google.Inject(google.Fault{Method: "calendar.events.insert", Match: func(google.Request) bool { cancel(); return false }})
		code, found := r.probe(ctx)
		r.clean(2)
		if len(r.google.Calendars()) != 3 || code != 2 || len(found.LeftBehind) > 0 {
			t.Errorf("exit %d, %d calendars, %+v", code, len(r.google.Calendars()), found.LeftBehind)
		}
	})
	t.Run("it cannot be removed", func(t *testing.T) {
		r := newRig(t)
		r.google.Inject(google.Fault{Method: "calendar.calendars.delete", Count: -1, Status: 403, Reason: "quotaExceeded"})
		code, found := r.probe(t.Context())
		if code != 2 || len(found.LeftBehind) != 1 || !strings.Contains(found.LeftBehind[0], "erp-calendar probe") {
			t.Errorf("exit %d, left behind %q", code, found.LeftBehind)
		}
	})
}

// TestNothingOfTheInstallationEnds: its grant lives on, and the second address's
// consent is taken back.
func TestNothingOfTheInstallationEnds(t *testing.T) {
	r := newRig(t)
	scopes := []string{"openid", "email", "calendar.app.created"}
	token := r.google.RefreshToken(account, scopes...)
	theirs := r.google.RefreshToken(outsider, scopes...)
	r.probe(t.Context(), "-share", outsider, "-reader")
	refresh := func(token string) int {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {client1}, "client_secret": {secret1}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+"/google/token", strings.NewReader(form.Encode()))
		r.must(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := r.server.Client().Do(req)
		r.must(err)
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := refresh(token); got != 200 {
		t.Errorf("the installation's grant answers %d", got)
	}
	if got := refresh(theirs); got != 400 {
		t.Errorf("the second address's consent answers %d", got)
	}
}

func TestTheCentralAccountIsNoSecondAddress(t *testing.T) {
	r := newRig(t)
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"-share", strings.ToUpper(account), "-reader"}, io.Discard, &errs, surroundings{lookup: r.lookup}); code != 2 || !strings.Contains(errs.String(), "central account itself") {
		t.Errorf("exit %d, %s", code, errs.Bytes())
	}
}

func TestCommandLine(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, row := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "go run ./scripts/probe"},
		{[]string{"-nope"}, 2, "nope"},
		{[]string{"x"}, 2, "unexpected argument"},
		{[]string{"-zone", "Mars/North"}, 2, "no time zone"},
		{[]string{"-share", "nobody"}, 2, "no address"},
		{[]string{"-reader"}, 2, "-reader needs -share"},
		{nil, 2, "OAUTH_CLIENT_ID"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), row.args, io.Discard, &errs, surroundings{lookup: none}); code != row.code || !strings.Contains(errs.String(), row.says) {
			t.Errorf("%q: exit %d, %s", row.args, code, errs.Bytes())
		}
	}
}

func TestTheReportForPeople(t *testing.T) {
	p := newProbe()
	p.answer("zone-taken", "taken", "Europe/Kyiv")
	p.answer("not-found", "met", "1 of 20 calls: GET calendars/… (html)")
	p.answer("share", "something else", "what\x1b[31m nobody knows")
	p.fails(errors.New("status 500"), "mark")
	r := report{Findings: p.findings, Calls: 20, LeftBehind: []string{"the calendar erp-calendar probe x"}}
	r.count()
	var out bytes.Buffer
	if err := r.forPeople(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"G1   right     Does Google answer 404", "G6   WRONG", "met (the stand-in: none met)", "taken (as the stand-in)", "nobody thought of this answer",
		"Left behind, to be removed by hand: the calendar erp-calendar probe x", "20 calls.",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("it lacks %q:\n%s", line, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || r.status() != 1 {
		t.Errorf("status %d, %q", r.status(), out.String())
	}
}

// TestTheTableIsWhole: each question has the stand-in's answer among its own, and the
// product is right with it, or nothing would work today. What the product does is said
// only of what it is right with.
func TestTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, q := range questions() {
		if own, ok := q.answers[q.standIn]; !ok || own.harm != "" || seen[q.id] || q.row == "" || q.asks == "" {
			t.Errorf("%s: %q", q.id, own.harm)
		}
		seen[q.id] = true
		for word, made := range q.answers {
			if made.does != "" && made.harm != "" {
				t.Errorf("%s: %q is right and wrong at once", q.id, word)
			}
		}
	}
}

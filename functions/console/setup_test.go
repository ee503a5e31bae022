package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// connectAccount connects the central account as OAuth does.
func (w *world) connectAccount() {
	w.t.Helper()
	if _, err := w.store.Connect(w.t.Context(), store.AccountRecord{Sub: "200", Email: integration, ClientID: "client-1"}, false); err != nil {
		w.t.Fatal(err)
	}
}

// chosen is an installation whose settings were saved, and not yet applied.
func (w *world) chosen() {
	w.t.Helper()
	next := w.saved().Settings
	next.BindingField = 7
	if err := w.deps.Settings.Apply(w.t.Context(), next, admin, 0, nil); err != nil {
		w.t.Fatal(err)
	}
}

// TestSetupEndsWithAPlan: each step says how it is, and nothing is made before the last, which
// names whom it concerns.
func TestSetupEndsWithAPlan(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	p := b.get("/setup")
	wantIn(t, p.body, "Sign in to Google as that account", "It answers and takes the key.", "as this zone does", "First the steps above have to be done.")
	if strings.Contains(p.body, `action="/console/setup"`) {
		t.Error("it can be begun before it is set up")
	}
	w.connectAccount()
	w.chosen()
	p = b.get("/setup")
	wantIn(t, p.body, integration+" is connected.", "Role 1: Assigned, New", "Field 7: Calendar (ticked for 2 of 3)", "2 people by the ERP as it is now",
		"2 calendars are made, and 2 people are invited by mail", "Anna; Bohdan", "It takes about 1 min.", "1 person gets no calendar", "Vasyl: the box on the card is not ticked")
	// What the first lines mean is said before the button, and not only after it.
	w.erp.cards[2].Employee.Email = calendarsync.Say("bohdan@gmail.com")
	wantIn(t, b.get("/setup").body, "Google sends the person one invitation by mail", "1 of these addresses is outside example.com", "External sharing options")
	p = b.post("/setup", nil)
	wantIn(t, p.body, "What saving would do", "Apply and make 2 calendars")
	if w.saved().Settings.Confirmed || len(w.sent.all("employee-changes")) > 0 {
		t.Fatal("something began before the plan was applied")
	}
	b.apply(p)
	if !w.saved().Settings.Confirmed || len(w.sent.all("employee-changes")) != 1 {
		t.Error("applying did not begin it")
	}
	if p := b.get("/setup"); p.at.Path != "/console/" {
		t.Errorf("afterwards set-up is still at %s", p.at)
	}
}

// TestSetupSaysWhatIsWrongWithTheERP: each way in which the ERP does not answer has its cure.
func TestSetupSaysWhatIsWrongWithTheERP(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		says string
	}{
		{"refused key", &failure.Error{Kind: failure.Source, Op: "x", Status: http.StatusForbidden}, "It refuses the API key."},
		{"503", &failure.Error{Kind: failure.Source, Op: "x", Status: http.StatusServiceUnavailable}, "Its server answers with an error (status 503)."},
		{"a page", failure.New(failure.SourceInvalid, "x", "a page"), "It answers, but not as the API does."},
		{"silence", failure.New(failure.Source, "x", "no answer"), "There is no answer. Check ERP_URL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.erp.err = row.err
			wantIn(t, w.signedIn().get("/setup").body, "It could not be read.", row.says, "Check again")
		})
	}
	w := newWorld(t)
	w.erp.clock.Local, w.erp.clock.Offset = calendarsync.LocalTime{Wall: w.now}, 0
	w.wait(time.Minute)
	wantIn(t, w.signedIn().get("/setup").body, "which is not the time in this zone", "Set the time zone in the settings to that of the ERP")
}

// TestSetupNamesWhatIsChosenWithoutTheERP: an ERP that does not answer leaves no heading without what
// it is about.
func TestSetupNamesWhatIsChosenWithoutTheERP(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.chosen()
	w.erp.err = failure.New(failure.Source, "userside: list employees", "no answer")
	wantIn(t, b.get("/setup").body, "Tasks of these roles, in the zone Europe/Kyiv:", "<li>Role 1</li>", "<li>Role 2</li>", "Chosen is:", "<li>Field 7</li>")
}

// TestThePlanSaysHowLongItTakes: Google's limits on new calendars are reckoned with.
func TestThePlanSaysHowLongItTakes(t *testing.T) {
	for people, says := range map[int]string{7: "It takes about 1 min.", 20: "It takes about 2 min.", 41: "It takes about 2 h.", 120: "It takes about 2 days."} {
		w := newWorld(t)
		w.connectAccount()
		w.erp.cards = map[calendarsync.EmployeeID]calendarsync.EmployeeReading{}
		for id := range calendarsync.EmployeeID(people) {
			w.erp.cards[id+1] = card(id+1, fmt.Sprint("Anna ", id), "1", "")
		}
		w.chosen()
		wantIn(t, w.signedIn().get("/setup").body, fmt.Sprintf("%d calendars are made", people), says)
	}
}

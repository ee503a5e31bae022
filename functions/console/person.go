package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// mostHistory is how many writes the page of one employee or task lists.
	mostHistory = 50
	// mostTasks is how many tasks the page of an employee lists of a kind.
	mostTasks = 200
)

// personView is one employee.
type personView struct {
	personRow
	Path                     string
	Outside                  string // the account's domain, if theirs is another
	Outcome                  *outcome
	Standstill               *cause // why nothing is written for anybody
	Invite, Rebuild, Replace bool   // may be asked for
	Tasks                    personTasks
	QR                       qrCode
	Messages                 []invitationText
	Facts                    []fact
	History                  []activityLine
}

// fact is something that only helps who looks for a fault.
type fact struct{ Label, Value string }

// personTasks are an employee's tasks by what is recorded, or as the ERP has just said.
type personTasks struct {
	There, Missing []taskLine
	More           int // of either, beyond what is listed
	// Read is when the ERP was read for this page, Fault why it could not be.
	Read  stamp
	Fault cause
}

// taskLine is a task as a list shows it.
type taskLine struct {
	ID           int64
	ERP          string // opens it in the ERP; "" without an address
	Title, Start string // known only where the ERP was read
	order        string
	Level        string
	cause
	Next string
}

// invitationText is a message for an employee in one language, ready to be sent.
type invitationText struct {
	Language, Label, Subject, Text, Mail string
	Open                                 bool
}

// showPerson serves the page of one employee.
func (h *handler) showPerson(w http.ResponseWriter, r *http.Request, s signin.Session) {
	e, ok := h.employee(w, r, s)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	var (
		all      conditions
		tasks    []store.TaskRecord
		activity []store.ActivityRecord
	)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { all, err = h.conditions(ctx); return err })
	g.Go(func() (err error) { tasks, err = h.Store.TasksOf(ctx, e.ID); return err })
	g.Go(func() (err error) {
		activity, err = h.Store.ActivityOf(ctx, store.EmployeeKey(e.ID), mostHistory)
		return err
	})
	if err := g.Wait(); err != nil {
		h.trouble(w, r, "read the employee's tasks and activity", err)
		return
	}
	set := all.saved.Settings
	c := all.heeded(h.locale(r, set.TimeZone))
	v := personView{personRow: personRowOf(c, e, all.place(e)), Path: personPath(e.ID), Standstill: all.standstill(c), Facts: factsOf(c, e)}
	if e.Calendar != nil {
		v.Outside = calendarsync.OutsideOf(h.cfg.IntegrationAccount, e.Address)
	}
	v.Outcome = outcomeOf(c, askedAt(r, c.now), e.Work, activity, v.Standstill)
	v.Invite, v.Replace = e.MayInvite(c.now), e.MayReplace()
	v.Rebuild = e.State == store.StateActive && v.AddURL != "" && e.Calendar.GoneSince.IsZero()
	if r.URL.Query().Get("erp") == "now" {
		v.Tasks = h.comparedTasks(r, c, e, tasks, taskLink(set.TaskURL))
	} else {
		v.Tasks = recordedTasks(c, e, tasks, taskLink(set.TaskURL))
	}
	if v.AddURL != "" {
		v.QR, v.Messages = qrOf(v.AddURL), h.messages(e, v.AddURL, set.Language)
	}
	for _, a := range activity {
		v.History = append(v.History, activityOf(c, a, map[int64]string{e.ID: v.Name}))
	}
	h.show(w, r, http.StatusOK, view{Page: "person", Menu: "people", Title: v.Name, Session: &s, Body: v})
}

func personPath(id int64) string { return peoplePath + "/" + strconv.FormatInt(id, 10) }

// recordedTasks sorts an employee's tasks by what is recorded: those in the calendar, and
// those that are to be and are not.
func recordedTasks(c locale, e store.EmployeeRecord, tasks []store.TaskRecord, link func(int64) string) personTasks {
	var v personTasks
	for _, t := range tasks {
		m, mapped := t.Mapping(e.ID)
		live := mapped && e.Calendar != nil && m.Epoch == e.Calendar.Epoch && (m.State == store.MappingLive || m.State == store.MappingDeleting)
		line := taskLine{ID: t.ID, ERP: link(t.ID), order: strconv.FormatInt(1<<62-t.ID, 10), Title: m.HeldTitle}
		switch {
		case t.Failure != nil:
			line.cause, line.Level, line.Next = failureCause(c.Texts, t.Failure), "wait", c.next(t.Work)
			if line.Person {
				line.Level = "bad"
			}
		case live && !m.HeldSince.IsZero() && m.DroppedAt.IsZero():
			line.Level, line.cause = "bad", cause{What: c.T("task.event.held") + " " + taskCause(c.Texts, m.HeldFor).What}
		case t.Dirty > 0:
			line.Level, line.What, line.Next = "wait", c.T("task.event.pending"), c.next(t.Work)
		case !live:
			continue // its event went, or it concerns somebody else by now
		}
		if live {
			v.There = append(v.There, line)
		} else {
			v.Missing = append(v.Missing, line)
		}
	}
	v.arrange()
	return v
}

// arrange puts the tasks in order, and leaves out what is too much for a page.
func (v *personTasks) arrange() {
	for _, list := range []*[]taskLine{&v.There, &v.Missing} {
		slices.SortFunc(*list, func(a, b taskLine) int { return cmp.Or(strings.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID)) })
		if n := len(*list); n > mostTasks {
			v.More += n - mostTasks
			*list = (*list)[:mostTasks]
		}
	}
}

// messages are what to send to an employee: how to see the calendar, in each language, that
// of the installation first.
func (h *handler) messages(e store.EmployeeRecord, addURL, first string) []invitationText {
	var out []invitationText
	for _, l := range languages(first) {
		t := h.translations.For(l.Value)
		m := invitationText{Language: l.Value, Label: l.Label, Open: l.Chosen, Subject: t.T("message.subject"),
			Text: t.T("message.text", "Name", e.Name, "Address", e.Address, "Link", addURL, "Guide", h.console.URL("/guide/"+l.Value, nil))}
		if e.Address != "" {
			m.Mail = "mailto:" + escaped(e.Address) + "?subject=" + escaped(m.Subject) + "&body=" + escaped(m.Text)
		}
		out = append(out, m)
	}
	return out
}

// escaped is a text in a mailto address, where a blank is no plus sign.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// factsOf are what helps to look for a fault at Google.
func factsOf(c locale, e store.EmployeeRecord) []fact {
	facts := []fact{{c.T("person.fact.number"), strconv.FormatInt(e.ID, 10)}}
	add := func(label, value string) {
		if value != "" {
			facts = append(facts, fact{label, value})
		}
	}
	if k := e.Calendar; k != nil {
		add(c.T("person.fact.calendar"), k.ID)
		add(c.T("person.fact.from"), c.stamp(k.From).Full)
		add(c.T("person.fact.address"), k.Address)
		add(c.T("person.fact.shared"), c.stamp(k.SharedAt).Full)
		if !k.ShareAgain {
			add(c.T("person.fact.rule"), k.RuleID)
		}
		add(c.T("person.fact.filled"), c.stamp(k.Filled).Full)
	}
	for _, k := range e.Retiring {
		add(c.T("person.fact.retiring"), k.ID)
	}
	add(c.T("person.fact.changed"), c.stamp(e.SeenAt).Full)
	if f := e.Failure; f != nil {
		add(c.T("person.fact.failure"), f.Message)
		add(c.T("person.fact.failed"), c.stamp(f.At).Full)
		add(c.T("person.fact.tries"), strconv.Itoa(f.Count))
	}
	if f := e.CardFailure; f != nil {
		add(c.T("person.fact.card"), f.Message)
		add(c.T("person.fact.card-failed"), c.stamp(f.At).Full)
		add(c.T("person.fact.card-tries"), strconv.Itoa(f.Count))
	}
	return facts
}

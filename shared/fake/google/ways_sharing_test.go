package google

import (
	"slices"
	"strings"
	"testing"
)

func TestOutsideAddresses(t *testing.T) {
	const outsider = "ivan@elsewhere.example"
	for name, row := range map[string]struct {
		outside         Outside
		answer, err     string
		sees            string // the role of the reader's own list
		metWay          string
		raised, listing string
	}{
		"as asked": {OutsideAsAsked, "reader", "", "reader", "", "reader", "reader"},
		"refused":  {OutsideRefused, "", "403 forbidden", "", wayOutsideRefused, "", ""},
		"lowered":  {OutsideLowered, "freeBusyReader", "", "freeBusyReader", wayOutsideLowered, "freeBusyReader", "freeBusyReader"},
		"blind":    {OutsideBlind, "reader", "", "freeBusyReader", wayOutsideBlind, "reader", "reader"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, Ways{Outside: row.outside})
			w.AddAccount(Account{Email: outsider, Name: "Ivan"})
			svc := w.api(owner)
			cal := w.newCal(svc)
			_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
			w.ok(err)
			_, err = svc.Acl.Insert(cal, user(reader, "reader")).Do() // of the firm: as asked in any case
			w.ok(err)
			rule, err := svc.Acl.Insert(cal, user(outsider, "reader")).Do()
			w.want(err, row.err)
			if row.metWay != "" {
				defer w.hasMet(row.metWay)
			}
			if err != nil {
				return
			}
			if rule.Role != row.answer {
				t.Errorf("the answer says %s", rule.Role)
			}
			rule, err = svc.Acl.Update(cal, rule.Id, user(outsider, "reader")).Do()
			w.ok(err)
			if rule.Role != row.raised {
				t.Errorf("raised to %s", rule.Role)
			}
			rule, err = svc.Acl.Get(cal, rule.Id).Do()
			w.ok(err)
			if rule.Role != row.listing {
				t.Errorf("read as %s", rule.Role)
			}
			w.ok(w.AcceptShare(cal, outsider))
			theirs, err := w.api(outsider, "calendar.readonly").Events.List(cal).Do()
			w.ok(err)
			if blind := theirs.Items[0].Summary == ""; theirs.AccessRole != row.sees || blind != (row.sees == "freeBusyReader") {
				t.Errorf("they see %q as %s", theirs.Items[0].Summary, theirs.AccessRole)
			}
			w.ok(svc.Acl.Delete(cal, rule.Id).Do())
		})
	}
}

func TestDefaultRules(t *testing.T) {
	w := ways(t, Ways{DefaultRules: []DefaultRule{{Type: "domain", Value: "firm.example", Role: "reader"}}})
	svc := w.api(owner)
	cal := w.newCal(svc)
	list, err := svc.Acl.List(cal).Do()
	w.ok(err)
	var got []string
	for _, r := range list.Items {
		got = append(got, r.Id+" "+r.Role)
	}
	if want := []string{"user:" + owner + " owner", "domain:firm.example reader"}; !slices.Equal(got, want) {
		t.Errorf("rules %q, want %q", got, want)
	}
	if rules := w.Calendars()[2].Rules; rules[0].Default || !rules[1].Default {
		t.Errorf("snapshot %+v", rules)
	}
	if rules := w.Calendars()[0].Rules; len(rules) != 1 {
		t.Errorf("the primary calendar has %+v", rules)
	}
	if len(w.Mails()) > 0 {
		t.Errorf("mails %+v", w.Mails())
	}
	if _, err := w.api(reader, "calendar.readonly").Events.List(cal).Do(); err != nil {
		t.Errorf("somebody of the domain reads it: %v", err)
	}
	w.hasMet(wayDefaultRules)
}

func TestRespelledAddresses(t *testing.T) {
	for name, row := range map[string]struct {
		ways     Ways
		sent, id string
		way      string
	}{
		"dots":             {Ways{GmailSpelling: true}, "Ivan.P.Petrov@gmail.com", "user:ivanppetrov@gmail.com", wayGmail},
		"googlemail":       {Ways{GmailSpelling: true}, "ivan.petrov@googlemail.com", "user:ivanpetrov@gmail.com", wayGmail},
		"elsewhere":        {Ways{GmailSpelling: true}, "ivan.petrov@firm.example", "user:ivan.petrov@firm.example", ""},
		"only in capitals": {Ways{}, "Ivan.Petrov@gmail.com", "user:ivan.petrov@gmail.com", ""},
		"a group":          {Ways{GroupsOneIn: 1}, "crew@firm.example", "group:crew@firm.example", wayGroup},
		"a person":         {Ways{GroupsOneIn: 1}, reader, "user:" + reader, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, row.ways)
			svc := w.api(owner)
			cal := w.newCal(svc)
			rule, err := svc.Acl.Insert(cal, user(row.sent, "reader")).Do()
			w.ok(err)
			if rule.Id != row.id || rule.Scope.Type+":"+rule.Scope.Value != row.id {
				t.Errorf("answered %s, %+v", rule.Id, rule.Scope)
			}
			if role := w.Calendars()[2].Role(row.sent); role != "reader" {
				t.Errorf("the snapshot says %s of the address as sent", role)
			}
			again, err := svc.Acl.Insert(cal, user(row.sent, "reader")).Do()
			w.ok(err)
			list, err := svc.Acl.List(cal).Do()
			w.ok(err)
			if again.Id != row.id || len(list.Items) != 2 {
				t.Errorf("inserted again: %s of %d rules", again.Id, len(list.Items))
			}
			_, err = svc.Acl.Update(cal, rule.Id, user(row.sent, "writer")).Do()
			w.ok(err)
			if sent := "user:" + strings.ToLower(row.sent); sent != row.id {
				_, err = svc.Acl.Get(cal, sent).Do()
				w.want(err, "404 notFound")
			}
			w.ok(svc.Acl.Delete(cal, rule.Id).Do())
			if role := w.Calendars()[2].Role(row.sent); role != "none" {
				t.Errorf("removed, the snapshot says %s", role)
			}
			if row.way != "" {
				w.hasMet(row.way)
			}
		})
	}
}

func TestHiddenInvitationsCanBeRemoved(t *testing.T) {
	w := ways(t, Ways{InvitationsHidden: true})
	svc := w.api(owner)
	cal := w.newCal(svc)
	rule, err := svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	list, err := svc.Acl.List(cal).Do()
	w.ok(err)
	if len(list.Items) != 1 {
		t.Fatalf("%d rules", len(list.Items))
	}
	_, err = svc.Acl.Get(cal, rule.Id).Do()
	w.want(err, "404 notFound")
	w.ok(svc.Acl.Delete(cal, rule.Id).Do())
	if role := w.Calendars()[2].Role(reader); role != "none" {
		t.Errorf("the share is still %s", role)
	}
	if err := w.AcceptShare(cal, reader); err == nil {
		t.Error("what was removed could be accepted")
	}
	w.hasMet(wayHidden)
}

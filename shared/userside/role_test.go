package userside

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
)

type roleIDs = map[calendarsync.StateID]calendarsync.RoleID

// Rule 4.16: readings of the catalogue one after another, each by a process of its own, and the
// roles of the last one. A state that is missing from these is an odd entry.
func TestARoleIsKnownAgainHoweverItIsSpelled(t *testing.T) {
	const numbers = `{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":"14"},"3":{"name":"c","system_role":12},"5":{"name":"e","system_role":11}}`
	const texts = `{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"open "}}`
	const other = `{"1":{"name":"a","system_role":"Offen"},"2":{"name":"b","system_role":"Läuft"},"3":{"name":"c","system_role":"Fertig"},"5":{"name":"e","system_role":"Offen"}}`
	byNumber := roleIDs{1: 11, 2: 14, 3: 12, 5: 11}
	byText := roleIDs{1: TextRole("Open"), 2: TextRole("Under way"), 3: TextRole("Done"), 5: TextRole("Open")}
	with := func(all roleIDs, state calendarsync.StateID, is calendarsync.RoleID) roleIDs {
		all = maps.Clone(all)
		if all[state] = is; is == 0 {
			delete(all, state)
		}
		return all
	}
	for _, row := range []struct {
		name     string
		readings []string
		want     roleIDs
	}{
		{"numbers, texts", []string{numbers, texts}, byNumber},
		{"numbers, texts, numbers, texts", []string{numbers, texts, numbers, texts}, byNumber},
		{"texts, numbers", []string{texts, numbers}, byText},
		{"texts, numbers, texts", []string{texts, numbers, texts}, byText},
		{"another language", []string{texts, other}, byText},
		{"another language after numbers", []string{numbers, texts, other, numbers, other}, byNumber},
		{"a state that got another role at the same time", []string{numbers,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Done"}}`}, with(byNumber, 5, 12)},
		{"and a state that did so by number", []string{texts,
			`{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":14},"3":{"name":"c","system_role":12},"5":{"name":"e","system_role":12}}`}, with(byText, 5, byText[3])},
		{"half of it first", []string{numbers, `{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"}}`, texts}, byNumber},
		{"half of it before", []string{numbers, `{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":14}}`, texts}, byNumber},
		{"a state with another role later", []string{numbers, texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Under way"}}`}, with(byNumber, 5, 14)},
		{"a text that nobody knows", []string{numbers, texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Frozen"}}`}, with(byNumber, 5, 0)},
		{"another text of one role, which may be another role", []string{numbers, texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Doing"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Open"}}`}, with(byNumber, 2, 0)},
		{"and once it shows the number beside it", []string{numbers, texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Doing"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Open"}}`,
			`{"2":{"name":"b","system_role":14,"system_role_text":"Doing"}}`,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Doing"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Open"}}`}, byNumber},
		{"a number of a role that no state has any more", []string{numbers,
			`{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":17},"3":{"name":"c","system_role":12},"5":{"name":"e","system_role":11}}`}, with(byNumber, 2, 17)},
		{"a text that nobody knows among numbers", []string{numbers,
			`{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":14},"3":{"name":"c","system_role":12},"5":{"name":"e","system_role":"Frozen"}}`}, with(byNumber, 5, 0)},
		{"a number that is new", []string{numbers,
			`{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":14},"3":{"name":"c","system_role":12},"5":{"name":"e","system_role":17}}`}, with(byNumber, 5, 17)},
		{"a text that is new where there are no numbers, on a state that had another", []string{texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Frozen"}}`}, with(byText, 5, 0)},
		{"on a state that is new, too", []string{texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Frozen"},"6":{"name":"f","system_role":"Frozen"}}`},
			with(with(byText, 5, TextRole("frozen")), 6, TextRole("frozen"))},
		{"a slip, and then what is right, in the reading in which texts first come", []string{
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"abc"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"Open"}}`, texts}, with(byText, 2, 0)},
		{"two of which one state got another role, nobody can say which", []string{
			`{"1":{"name":"a","system_role":11},"2":{"name":"b","system_role":14},"5":{"name":"e","system_role":11}}`,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"5":{"name":"e","system_role":"Done"}}`}, roleIDs{2: 14}},
		{"a minus among texts", []string{texts,
			`{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Under way"},"3":{"name":"c","system_role":"Done"},"5":{"name":"e","system_role":"-1"}}`}, with(byText, 5, 0)},
		{"both, then texts of new states", []string{
			`{"1":{"name":"a","system_role":11,"system_role_text":"Open"},"2":{"name":"b","system_role":14,"system_role_text":"Under way"},"3":{"name":"c","system_role":12,"system_role_text":"Done"}}`,
			`{"7":{"name":"g","system_role":"Open"},"8":{"name":"h","system_role":"Done"}}`}, roleIDs{7: 11, 8: 12}},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
			remembered := store.New(memory.New(func() time.Time { return now }))
			var got roleIDs
			for _, reading := range row.readings {
				now = now.Add(time.Minute)
				got = rolesRead(t, remembered, now, reading)
			}
			if !maps.Equal(got, row.want) {
				t.Errorf("roles %v, want %v", got, row.want)
			}
		})
	}
}

// rolesRead gives the roles of the states as a process of its own reads them at a time.
func rolesRead(t *testing.T, remembered RoleMemory, now time.Time, reading string) roleIDs {
	t.Helper()
	c := clientFor(t, saying(map[string]string{"get_catalog_state": `{"result":"OK","data":` + reading + `}`}))
	c.now = func() time.Time { return now }
	c.RememberRoles(remembered)
	got := roleIDs{}
	for range 2 { // from the store, and as this process knows
		read, err := c.States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		for id, s := range read.States {
			got[id] = s.Role
		}
	}
	return got
}

// Rule 4.16: a spelling that nobody met, and that may be a slip or another one of a known role, is
// a role of its own once it stands for a day; mended meanwhile, it counts anew.
func TestASpellingThatStaysIsARole(t *testing.T) {
	const (
		sound   = `{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Done"}}`
		slip    = `{"1":{"name":"a","system_role":"Open"},"2":{"name":"b","system_role":"Frozen"}}`
		oddOne  = `{"1":{"name":"a","system_role":1},"2":{"name":"b","system_role":"-1"}}`
		another = `{"1":{"name":"a","system_role":1},"3":{"name":"c","system_role":7}}`
	)
	type reading struct {
		after time.Duration
		says  string
		state calendarsync.StateID
		want  calendarsync.RoleID
	}
	for name, readings := range map[string][]reading{
		"a text among texts": {
			{0, sound, 2, TextRole("Done")}, {time.Minute, slip, 2, 0}, {23 * time.Hour, slip, 2, 0}, {24 * time.Hour, sound, 2, TextRole("Done")},
			{25 * time.Hour, slip, 2, 0}, {48 * time.Hour, slip, 2, 0}, {49 * time.Hour, slip, 2, TextRole("Frozen")}, {50 * time.Hour, sound, 2, TextRole("Done")},
		},
		"a text where there were numbers": {
			{0, oddOne, 2, 0}, {time.Minute, sound, 1, 1}, {2 * time.Minute, sound, 2, 0}, {24 * time.Hour, sound, 2, 0}, {25 * time.Hour, sound, 2, TextRole("Done")},
		},
		"a number where there were texts": {
			{0, sound, 1, TextRole("Open")}, {time.Minute, another, 1, TextRole("Open")}, {2 * time.Minute, another, 3, 0}, {24 * time.Hour, another, 3, 0}, {25 * time.Hour, another, 3, 7},
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
			now := began
			remembered := store.New(memory.New(func() time.Time { return now }))
			for _, r := range readings {
				now = began.Add(r.after)
				if got := rolesRead(t, remembered, now, r.says)[r.state]; got != r.want {
					t.Errorf("after %s: state %d has role %d, want %d", r.after, r.state, got, r.want)
				}
			}
		})
	}
}

// brokenMemory can neither be read nor written.
type brokenMemory struct{}

var errBroken = errors.New("broken")

func (brokenMemory) KnownRoles(context.Context) (store.KnownRoles, error) {
	return store.KnownRoles{}, errBroken
}
func (brokenMemory) SaveKnownRoles(context.Context, store.KnownRoles) error { return errBroken }

// Rule 4.16: whoever cannot remember how roles were spelled must not guess.
func TestStatesAreNotReadWithoutTheMemoryOfRoles(t *testing.T) {
	c := clientFor(t, saying(map[string]string{"get_catalog_state": `{"result":"OK","data":{"1":{"id":1,"name":"a","system_role":"Open"}}}`}))
	c.RememberRoles(brokenMemory{})
	if got, err := c.States(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("read %v, %v", got, err)
	}
}

package userside

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// catalogueRoles are the roles of one reading of the catalogue's states, side by side with
// the states' ids, 0 for a state that is left out of account.
type catalogueRoles struct {
	at     time.Time // before it was read
	states []calendarsync.StateID
	roles  []role
}

// spelling is one way to write a role: its number, or, where text is not empty, its text.
type spelling struct {
	number calendarsync.RoleID
	text   string
}

// roleBook says which role a spelling means (rule 4.16). The role is named as it was when it
// was first met: by its number, or by TextRole.
type roleBook struct {
	means  map[spelling]calendarsync.RoleID
	states map[calendarsync.StateID]calendarsync.RoleID // as read last
	odd    map[spelling]time.Time                       // what nobody met before, since when it is read
}

// oddFor is how long a spelling that nobody met before is an odd entry, where it may be a slip, or
// another one of a known role: long enough to be noticed and mended.
const oddFor = 24 * time.Hour

func newRoleBook(known store.KnownRoles) *roleBook {
	b := &roleBook{means: map[spelling]calendarsync.RoleID{}, states: map[calendarsync.StateID]calendarsync.RoleID{}, odd: map[spelling]time.Time{}}
	for _, s := range known.Spellings {
		b.means[spelling{calendarsync.RoleID(s.Number), s.Text}] = calendarsync.RoleID(s.Role)
	}
	for _, s := range known.States {
		b.states[calendarsync.StateID(s.State)] = calendarsync.RoleID(s.Role)
	}
	for _, o := range known.Odd {
		b.odd[spelling{calendarsync.RoleID(o.Number), o.Text}] = o.Since
	}
	return b
}

// record gives what is to be remembered of a book.
func (b *roleBook) record(at time.Time) store.KnownRoles {
	out := store.KnownRoles{At: at}
	for id, r := range b.states {
		out.States = append(out.States, store.StateRole{State: int64(id), Role: int64(r)})
	}
	for s, r := range b.means {
		out.Spellings = append(out.Spellings, store.RoleSpelling{Role: int64(r), Number: int64(s.number), Text: s.text})
	}
	for s, since := range b.odd {
		out.Odd = append(out.Odd, store.OddRole{Number: int64(s.number), Text: s.text, Since: since})
	}
	slices.SortFunc(out.Odd, func(a, b store.OddRole) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Text, b.Text))
	})
	slices.SortFunc(out.States, func(a, b store.StateRole) int { return cmp.Compare(a.State, b.State) })
	slices.SortFunc(out.Spellings, func(a, b store.RoleSpelling) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// spelled gives the spelling that counts of a role; false where it has none.
func (r role) spelled() (spelling, bool) {
	if r.isSet {
		return spelling{number: r.number}, true
	}
	key := r.key()
	return spelling{text: key}, key != ""
}

// knows reports whether a catalogue has no spelling that is new to the book.
func (b *roleBook) knows(read catalogueRoles) bool {
	return !slices.ContainsFunc(read.roles, func(r role) bool {
		s, ok := r.spelled()
		_, known := b.means[s]
		return ok && !known
	})
}

// read learns the spellings of a catalogue and gives the roles of its states, by their places.
func (b *roleBook) read(c catalogueRoles) map[int]calendarsync.RoleID {
	b.learnPairs(c)
	numbered := slices.ContainsFunc(c.roles, func(r role) bool { return r.isSet })
	texts := slices.ContainsFunc(c.roles, func(r role) bool { return !r.isSet && r.key() != "" })
	if numbered != texts {
		b.learnByStates(c, texts)
	}
	b.learnNew(c, numbered)
	out := map[int]calendarsync.RoleID{}
	for i, r := range c.roles {
		s, ok := r.spelled()
		if is, known := b.means[s]; ok && known {
			out[i] = is
			if id := c.states[i]; id != 0 {
				b.states[id] = is
			}
		}
	}
	return out
}

// learnPairs learns from states that have both a number and a text that these are one role. A
// text that goes with two numbers means neither.
func (b *roleBook) learnPairs(c catalogueRoles) {
	pairs, ambiguous := map[string]calendarsync.RoleID{}, map[string]bool{}
	for _, r := range c.roles {
		if key := r.key(); r.isSet && key != "" {
			before, twice := pairs[key]
			ambiguous[key] = ambiguous[key] || twice && before != r.number
			pairs[key] = r.number
		}
	}
	for text, number := range pairs {
		byText, byNumber := spelling{text: text}, spelling{number: number}
		is, textKnown := b.means[byText]
		as, numberKnown := b.means[byNumber]
		switch {
		case ambiguous[text]:
			delete(b.means, byText)
		case textKnown && !numberKnown && is.IsText():
			b.means[byNumber] = is
		case !textKnown || !is.IsText():
			if !numberKnown {
				as = number
			}
			b.means[byNumber], b.means[byText] = as, as
		}
	}
}

// learnByStates learns from a catalogue of numbers only, or of texts only, which roles those are
// that the ERP spelled otherwise before: the ones that the same states had. It learns of a role
// what has no such spelling yet; all where no text is known any more, as in another language.
func (b *roleBook) learnByStates(c catalogueRoles, texts bool) {
	spelledSo := map[calendarsync.RoleID]bool{}
	anew := texts
	for s, is := range b.means {
		if (s.text != "") == texts {
			spelledSo[is] = true
		}
	}
	may := map[spelling]map[calendarsync.RoleID]bool{}
	for i, r := range c.roles {
		s, ok := r.spelled()
		if !ok {
			continue
		}
		if _, known := b.means[s]; known {
			anew = false
			continue
		}
		if may[s] == nil {
			may[s] = map[calendarsync.RoleID]bool{}
		}
		if was, had := b.states[c.states[i]]; had {
			may[s][was] = true
		}
	}
	if !anew {
		for _, roles := range may {
			maps.DeleteFunc(roles, func(r calendarsync.RoleID, _ bool) bool { return spelledSo[r] })
		}
	}
	for b.settleOne(may) {
	}
}

// settleOne learns one spelling that can only be one role, which no other can only be, and
// takes that role from the others: a state of theirs had it before and has another now.
func (b *roleBook) settleOne(may map[spelling]map[calendarsync.RoleID]bool) bool {
	only := map[calendarsync.RoleID][]spelling{}
	for s, roles := range may {
		if len(roles) == 1 {
			for r := range roles {
				only[r] = append(only[r], s)
			}
		}
	}
	for r, spellings := range only {
		if len(spellings) != 1 {
			continue
		}
		b.means[spellings[0]] = r
		delete(may, spellings[0])
		for _, roles := range may {
			delete(roles, r)
		}
		return true
	}
	return false
}

// learnNew takes what is left for roles that the ERP did not have before: at once where it
// cannot be another spelling of one, and otherwise when it has stood for a while. Taken for a
// role of its own it is evidence against every task of its state; not understood, it concerns
// its entry alone (rule 4.13). A text beside numbers waits for its own.
func (b *roleBook) learnNew(c catalogueRoles, numbered bool) {
	hasNumber := map[calendarsync.RoleID]bool{}
	for s, is := range b.means {
		if s.text == "" {
			hasNumber[is] = true
		}
	}
	unpaired := false
	for _, is := range b.states {
		unpaired = unpaired || is.IsText() && !hasNumber[is]
	}
	odd := map[spelling]time.Time{}
	for i, r := range c.roles {
		s, ok := r.spelled()
		if _, known := b.means[s]; !ok || known || s.text != "" && numbered {
			continue
		}
		since, before := b.odd[s]
		if !before {
			since = c.at
		}
		_, had := b.states[c.states[i]]
		certain := s.text == "" && !unpaired || s.text != "" && !had && len(hasNumber) == 0
		switch {
		case !certain && c.at.Before(since.Add(oddFor)):
			odd[s] = since
		case s.text == "":
			b.means[s] = s.number
		default:
			b.means[s] = TextRole(s.text)
		}
	}
	maps.DeleteFunc(odd, func(s spelling, _ time.Time) bool { _, known := b.means[s]; return known })
	b.odd = odd
}

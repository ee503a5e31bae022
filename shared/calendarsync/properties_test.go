package calendarsync_test

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

func anyEventTime() *rapid.Generator[EventTime] {
	return rapid.Custom(func(t *rapid.T) EventTime {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 500_000).Draw(t, "minute")) * time.Minute)
		if rapid.Bool().Draw(t, "allDay") {
			return EventTime{Date: at.Format(time.DateOnly)}
		}
		return EventTime{Instant: at, Zone: rapid.SampledFrom([]string{"Europe/Kyiv", "UTC"}).Draw(t, "zone")}
	})
}

func anyEvent() *rapid.Generator[Event] {
	text := rapid.SampledFrom([]string{"", "a", "b", "щ"})
	return rapid.Custom(func(t *rapid.T) Event {
		return Event{
			Title: text.Draw(t, "title"), Location: text.Draw(t, "location"), Description: text.Draw(t, "description"),
			Color: rapid.SampledFrom([]string{"", "1", "11"}).Draw(t, "color"),
			Start: anyEventTime().Draw(t, "start"), End: anyEventTime().Draw(t, "end"),
		}
	})
}

// googleEvent is one event of the model's Google: what it holds, whether it is
// cancelled, and what we remember of writing it.
type googleEvent struct {
	fields         Fields
	cancelled      bool
	sent, returned string // our memory; both "" when it was lost
}

// world is a model of one calendar: events by id.
type world map[string]googleEvent

// google is how Google gives back what was sent: with defaults spelled out and
// its own spelling of texts.
func google(e Event) Fields {
	f := returned(e)
	f.Description = strings.TrimSpace(f.Description) + "\u200b"
	f.Visibility = "default"
	return f
}

// steps gives what each decision asks for, by id, where that is anything.
func (w world) steps(decisions map[string]Decision) map[string]Action {
	out := map[string]Action{}
	for id, d := range decisions {
		var actual Actual
		if e, known := w[id]; known {
			actual = Actual{Presence: Live, Sent: e.sent, Returned: e.returned, Observed: &e.fields}
			if e.cancelled {
				actual = Actual{Presence: Cancelled, Sent: e.sent, Returned: e.returned}
			}
		}
		if action := Step(d, actual); action != Nothing {
			out[id] = action
		}
	}
	return out
}

// apply does one action as the gateway would, refusing what Google refuses.
func (w world) apply(t *rapid.T, id string, action Action, d Decision) {
	e, known := w[id]
	switch action {
	case Insert:
		if known {
			t.Fatalf("%s: inserted although its id is taken (409)", id)
		}
	case Update:
		if !known || e.cancelled {
			t.Fatalf("%s: updated although it is not there", id)
		}
	case Revive:
		if !known || !e.cancelled {
			t.Fatalf("%s: revived although it is not cancelled", id)
		}
	case Delete:
		if !known || e.cancelled {
			t.Fatalf("%s: deleted although it is not there (410)", id)
		}
		e.cancelled = true
		w[id] = e
		return
	default:
		t.Fatalf("%s: %v is no change", id, action)
	}
	f := google(d.Event)
	w[id] = googleEvent{fields: f, sent: d.Event.Hash(), returned: f.Hash()}
}

// Taking the steps makes the calendar what it ought to be and touches nothing else;
// afterwards there are none (rule 2.2, complaint 18).
func TestDifferenceMakesTheCalendarRightOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c", "d", "e", "f", "g"}
		before, decisions := world{}, map[string]Decision{}
		for _, id := range ids {
			if v := Verdict(rapid.IntRange(0, int(Unknown)).Draw(t, "verdict "+id)); v != 0 { // 0: a foreign or copied event
				decisions[id] = Decision{Verdict: v}
				if v == Keep {
					decisions[id] = Decision{Verdict: v, Event: anyEvent().Draw(t, "event "+id)}
				}
			}
			state := rapid.SampledFrom([]string{"never", "right", "stale", "edited", "forgotten", "cancelled"}).Draw(t, "state "+id)
			if state == "never" {
				continue
			}
			was := decisions[id].Event
			if state != "right" {
				was = anyEvent().Draw(t, "was "+id)
			}
			e := googleEvent{fields: google(was), sent: was.Hash(), returned: google(was).Hash()}
			switch state {
			case "edited":
				e.fields.Title += " edited"
			case "forgotten":
				e.sent, e.returned = "", ""
			case "cancelled":
				e.cancelled = true
			}
			before[id] = e
		}
		after := maps.Clone(before)
		for id, action := range before.steps(decisions) {
			after.apply(t, id, action, decisions[id])
		}
		for _, id := range ids {
			was, wasKnown := before[id]
			is, known := after[id]
			switch decisions[id].Verdict {
			case Keep:
				if !known || is.cancelled || is.fields.Hash() != google(decisions[id].Event).Hash() {
					t.Fatalf("%s ought to be there as decided, is %+v", id, is)
				}
			case Remove:
				if known && !is.cancelled {
					t.Fatalf("%s ought to be gone", id)
				}
			default:
				if known != wasKnown || fmt.Sprint(is) != fmt.Sprint(was) {
					t.Fatalf("%s was touched: %+v became %+v", id, was, is)
				}
			}
		}
		if again := after.steps(decisions); len(again) != 0 {
			t.Fatalf("a second pass would write: %v", again)
		}
	})
}

// filled builds a map by inserting its pairs in a drawn order.
func filled[K comparable, V any](t *rapid.T, label string, pairs map[K]V, keys []K) map[K]V {
	m := map[K]V{}
	for _, k := range rapid.Permutation(keys).Draw(t, label) {
		m[k] = pairs[k]
	}
	return m
}

func TestNothingDependsOnMapOrder(t *testing.T) {
	c := catalogue()
	names := map[EmployeeID]string{41: "A", 42: "B", 43: "C", 44: "D", 45: "E"}
	colors := map[string]int{"5": 1, "6": 2, "7": 3, "8": 4, "9": 5}
	want := ""
	rapid.Check(t, func(t *rapid.T) {
		s := settings(func(s *Settings) {
			s.EventDescription = "{{range .Task.Executors}}{{.}} {{end}}{{printf \"%v\" .Task}}"
			s.Colors = filled(t, "colors", colors, slices.Sorted(maps.Keys(colors)))
			s.ShownRoles = rapid.Permutation([]RoleID{roleOpen, roleStarted}).Draw(t, "roles")
		})
		r, err := NewRules(s, Catalogue{
			States: filled(t, "states", c.States, []StateID{stateNew, stateOnSite, stateDone}),
			Types:  filled(t, "types", c.Types, []TypeID{typeConnect, typeRepair}),
		}, filled(t, "names", names, slices.Sorted(maps.Keys(names))))
		if err != nil {
			t.Fatal(err)
		}
		x := task(func(x *Task) {
			x.Executors = Say(rapid.Permutation([]EmployeeID{41, 42, 43, 44, 45}).Draw(t, "executors"))
		})
		d := r.Decide(read(x), recipient(), false)
		got := fmt.Sprint(d.Event.Hash(), returned(d.Event).Hash(), r.Catalogue.StatesWithRoles(s.ShownRoles))
		if want == "" {
			want = got
		}
		if once, again := d.Event.Hash(), d.Event.Hash(); got != want || once != again {
			t.Fatalf("%s, in another order %s", want, got)
		}
	})
}

// Whatever owned field differs, the hash does; and only then.
func TestHashTellsEveryOwnedFieldApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyEvent().Draw(t, "a"), anyEvent().Draw(t, "b")
		if (a == b) != (a.Hash() == b.Hash()) {
			t.Fatalf("equal %v, but hashes %s and %s", a == b, a.Hash(), b.Hash())
		}
		e := anyEvent().Draw(t, "e")
		day := EventTime{Date: "1999-01-01"}
		for name, change := range map[string]func(*Event){
			"title": func(e *Event) { e.Title += "x" }, "location": func(e *Event) { e.Location += "x" },
			"description": func(e *Event) { e.Description += "x" }, "color": func(e *Event) { e.Color += "1" },
			"start": func(e *Event) { e.Start = day }, "end": func(e *Event) { e.End = day },
			"start's zone":   func(e *Event) { e.Start.Zone += "x" },
			"end's instant":  func(e *Event) { e.End.Instant = e.End.Instant.Add(time.Second) },
			"text moved":     func(e *Event) { e.Title, e.Location = e.Title+"x"+e.Location, "" },
			"start for end":  func(e *Event) { e.Start, e.End = day, e.Start },
			"start and zone": func(e *Event) { e.Start.Date += "x" },
		} {
			changed := e
			change(&changed)
			if changed.Hash() == e.Hash() {
				t.Fatalf("%s: the hash stays", name)
			}
		}
		f := google(e)
		for name, change := range map[string]func(*Fields){
			"title": func(f *Fields) { f.Title += "x" }, "location": func(f *Fields) { f.Location += "x" },
			"description": func(f *Fields) { f.Description += "x" }, "color": func(f *Fields) { f.Color += "1" },
			"start": func(f *Fields) { f.Start = day }, "end": func(f *Fields) { f.End = day },
			"visibility": func(f *Fields) { f.Visibility = "private" }, "transparency": func(f *Fields) { f.Transparency = "transparent" },
			"recurrence": func(f *Fields) { f.Recurrence = []string{"RRULE:FREQ=DAILY"} }, "attendees": func(f *Fields) { f.Attendees++ },
		} {
			changed := f
			change(&changed)
			if changed.Hash() == f.Hash() {
				t.Fatalf("%s of the fields: the hash stays", name)
			}
		}
	})
}

// anyWall draws a zone and a wall clock's reading, half of them within hours of
// one of the zone's changes.
func anyWall(t *rapid.T) (time.Time, *time.Location) {
	name := rapid.SampledFrom([]string{"Europe/Kyiv", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca",
		"Europe/Dublin", "Pacific/Apia", "Pacific/Chatham", "America/St_Johns", "Antarctica/Troll", "Asia/Kathmandu", "America/Caracas", "UTC"}).Draw(t, "zone")
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 60*365*24*60).Draw(t, "minute")) * time.Minute)
	if rapid.Bool().Draw(t, "near a change") {
		if _, end := at.In(z).ZoneBounds(); !end.IsZero() {
			local := end.In(z)
			at = time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC).
				Add(time.Duration(rapid.IntRange(-240, 240).Draw(t, "off")) * time.Minute)
		}
	}
	return at, z
}

// reading is the wall clock at an instant, labelled UTC.
func reading(at time.Time, z *time.Location) time.Time {
	l := at.In(z)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// instants lists, ascending, every instant at which the clock of a zone shows a
// reading, by trying all offsets in use around it.
func instants(w time.Time, z *time.Location) []time.Time {
	found := map[int64]time.Time{}
	for h := -50; h <= 50; h++ {
		_, offset := w.Add(time.Duration(h) * 30 * time.Minute).In(z).Zone()
		if at := w.Add(-time.Duration(offset) * time.Second); reading(at, z).Equal(w) {
			found[at.Unix()] = at
		}
	}
	return slices.SortedFunc(maps.Values(found), time.Time.Compare)
}

func TestResolveIsTheInverseOfTheWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, z := anyWall(t)
		got := Resolve(w, z)
		if all := instants(w, z); len(all) > 0 {
			if !got.Equal(all[0]) {
				t.Fatalf("%s is %s, want the first of %v", w, got, all)
			}
			return
		}
		// In a gap: further on by as much as the clock was put forward.
		start, _ := got.ZoneBounds()
		_, now := got.Zone()
		_, before := start.Add(-time.Second).In(z).Zone()
		if moved := reading(got, z).Sub(w); moved <= 0 || moved != time.Duration(now-before)*time.Second {
			t.Fatalf("%s moved by %v to %s", w, moved, got)
		}
	})
}

// A later reading is no earlier instant; only what an overlap's two passes or a
// gap's end bring close may coincide or turn round.
func TestResolveIsMonotoneOutsideGapsAndOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, z := anyWall(t)
		b := a.Add(time.Duration(rapid.IntRange(1, 3*24*60).Draw(t, "later")) * time.Minute)
		first, second := Resolve(a, z), Resolve(b, z)
		if len(instants(a, z)) > 0 && len(instants(b, z)) > 0 && !first.Before(second) {
			t.Fatalf("%s is %s, but %s is %s", a, first, b, second)
		}
		// Even out of a gap it never turns back by more than the gap.
		if gap := first.Sub(second); gap > 24*time.Hour {
			t.Fatalf("%s is %v after the later %s", a, gap, b)
		}
	})
}

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), // broken UTF-8
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"&", "<", "щ", "🛠", "x\n", " ", "&amp;", "\x00", "word "}).Draw(t, "unit"), rapid.IntRange(0, 30_000).Draw(t, "times"))
		}),
	)
}

// checkEvent is what holds of every event whatever the texts it is made of.
func checkEvent(t interface{ Fatalf(string, ...any) }, ev Event, link string) {
	for name, text := range map[string]string{"title": ev.Title, "location": ev.Location, "description": ev.Description} {
		if !utf8.ValidString(text) {
			t.Fatalf("the %s is broken UTF-8", name)
		}
		if text != strings.TrimSpace(text) {
			t.Fatalf("the %s has blanks around it, which Google drops: %q", name, text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return (r < ' ' && (r != '\n' || name != "description")) || r == 0x7f }); i >= 0 {
			t.Fatalf("the %s has a control character: %q", name, text[i:])
		}
	}
	if n := utf8.RuneCountInString(ev.Title); n == 0 || n > MaxTitle {
		t.Fatalf("a title of %d", n)
	}
	if n := utf8.RuneCountInString(ev.Location); n > MaxLocation {
		t.Fatalf("a location of %d", n)
	}
	if n := utf8.RuneCountInString(ev.Description); n > MaxDescription {
		t.Fatalf("a description of %d", n)
	}
	if !strings.HasSuffix("\n"+ev.Description, "\n"+link) {
		t.Fatalf("the link is lost: %q", ev.Description)
	}
	plain := html.UnescapeString(ev.Description)
	if again := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(plain); again != ev.Description {
		t.Fatalf("something is not escaped or split: %q", ev.Description)
	}
}

func TestRenderingHoldsItsLimitsForAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings(func(s *Settings) {
			s.EventTitle = rapid.SampledFrom([]string{s.EventTitle, "{{.Task.Description}}", "{{.Employee.Name}}"}).Draw(t, "title")
			s.EventDescription = rapid.SampledFrom([]string{s.EventDescription, "{{.Task.Address}}{{.Task.URL}}", ""}).Draw(t, "template")
		})
		r := rulesOf(t, s)
		x := task(func(x *Task) {
			x.TypeName, x.Address = anyText().Draw(t, "type"), anyText().Draw(t, "address")
			x.Customer, x.Description = anyText().Draw(t, "customer"), anyText().Draw(t, "description")
		})
		name := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("🛠", 9000))).Draw(t, "name")
		d := r.Decide(read(x), recipient(func(e *Recipient) { e.Name = name }), false)
		if d.Verdict != Keep {
			t.Fatalf("verdict %v, %q: %v", d.Verdict, d.Reason, d.Err)
		}
		checkEvent(t, d.Event, "https://erp.example/task/123")
		n, err := r.Texts.CalendarName(TemplateEmployee{ID: olena, Name: name})
		if err != nil || n == "" || utf8.RuneCountInString(n) > MaxName || !utf8.ValidString(n) {
			t.Fatalf("name %q, %v", n, err)
		}
	})
}

func TestMarkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Mark{
			Tenant: rapid.StringMatching(`[0-9a-f-]{1,36}`).Draw(t, "tenant"), Task: TaskID(rapid.Int64Min(1).Draw(t, "task")),
			Employee: EmployeeID(rapid.Int64Min(1).Draw(t, "employee")), Generation: rapid.IntMin(0).Draw(t, "generation"), Hash: rapid.String().Draw(t, "hash"),
		}
		p := m.Properties()
		p["somebody"] = "else's" // foreign properties do not matter
		got, ok := ReadMark(p)
		if !ok || got != m {
			t.Fatalf("%+v comes back as %+v, %v", m, got, ok)
		}
		if !got.Owns(EventID(m.Tenant, m.Task, m.Employee, m.Generation)) {
			t.Fatal("the mark does not own its event")
		}
	})
}

func TestCalendarMarkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := CalendarMark{
			Tenant: rapid.StringMatching(`[0-9a-f-]{1,36}`).Draw(t, "tenant"), Employee: EmployeeID(rapid.Int64Min(1).Draw(t, "employee")),
			Epoch: rapid.StringMatching(`[0-9A-Za-z_-]{1,30}`).Draw(t, "epoch"), From: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "from"), 0).UTC(),
		}
		text := rapid.String().Draw(t, "text")
		got, ok := ReadCalendarMark(text + "\n" + m.Line())
		if !ok || got.Tenant != m.Tenant || got.Employee != m.Employee || got.Epoch != m.Epoch || !got.From.Equal(m.From) {
			t.Fatalf("%+v comes back as %+v, %v", m, got, ok)
		}
	})
}

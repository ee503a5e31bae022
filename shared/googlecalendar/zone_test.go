package googlecalendar_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

const linkName = "Europe/Kiev"

// remembered is what an installation remembers of zones.
type remembered struct {
	names map[string]string
	reads int
	err   error
}

func (r *remembered) GoogleZone(_ context.Context, zone string) (string, error) {
	r.reads++
	return r.names[zone], r.err
}

func (r *remembered) SetGoogleZone(_ context.Context, zone, name string) error {
	if r.err == nil {
		r.names[zone] = name
	}
	return r.err
}

// heard is a watcher that keeps what it is told.
type heard struct {
	calls map[string]error
	zones int
}

func (h *heard) Admit(context.Context, string) error { return nil }

func (h *heard) Called(_ context.Context, method, _ string, err error) error {
	h.calls[method] = err
	return err
}

func (h *heard) ZoneTaken(context.Context) { h.zones++ }

// zoned are the writes that name a zone.
var zoned = map[string]func(ctx context.Context, g *googlecalendar.Gateway, c googlecalendar.Calendar, e googlecalendar.Event) error{
	"calendars.insert": func(ctx context.Context, g *googlecalendar.Gateway, _ googlecalendar.Calendar, _ googlecalendar.Event) error {
		_, err := g.CreateCalendar(ctx, "Petro", zoneName, mark())
		return err
	},
	"calendars.update": func(ctx context.Context, g *googlecalendar.Gateway, c googlecalendar.Calendar, _ googlecalendar.Event) error {
		return g.UpdateCalendar(ctx, c, "Petro", zoneName, mark())
	},
	"events.insert": func(ctx context.Context, g *googlecalendar.Gateway, c googlecalendar.Calendar, _ googlecalendar.Event) error {
		d := draft()
		d.Mark.Task = 18
		d.ID = calendarsync.EventID(d.Mark.Tenant, d.Mark.Task, d.Mark.Employee, 0)
		_, err := g.InsertEvent(ctx, c.ID, d)
		return err
	},
	"events.update": func(ctx context.Context, g *googlecalendar.Gateway, c googlecalendar.Calendar, e googlecalendar.Event) error {
		d := draft()
		d.Sequence, d.ETag = e.Sequence, e.ETag
		_, err := g.UpdateEvent(ctx, c.ID, d)
		return err
	},
}

// Rule 2.9: a name of the zone that Google does not take is sent by the other one, from
// then on at once, and by every process.
func TestARefusedZoneIsSentByItsLinkName(t *testing.T) {
	t.Parallel()
	for method, write := range zoned {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				e := w.insert(c.ID, draft())
				w.ChangeWays(func(to *google.Ways) { to.ZonesRefused = []string{zoneName} })
				zones, watcher := &remembered{names: map[string]string{}}, &heard{calls: map[string]error{}}
				g := w.gateway.Watched(watcher).Remembering(zones)

				w.ResetRequests()
				w.pacer.reset()
				w.ok(write(t.Context(), g, c, e))
				calls := w.Requests(google.Filter{})
				if len(calls) != 2 || calls[0].Status != http.StatusBadRequest || len(w.pacer.slots()) != 2 {
					t.Errorf("%d calls in %d slots: %+v", len(calls), len(w.pacer.slots()), calls)
				}
				if zones.names[zoneName] != linkName || watcher.zones != 1 || watcher.calls[method] != nil {
					t.Errorf("remembered %v, heard %+v", zones.names, watcher)
				}

				// Another process, of another write.
				w.ResetRequests()
				other := w.gatewayWith(googlecalendar.Scopes()...).Remembering(zones)
				zones.reads = 0
				for range 2 {
					_, err := other.CreateCalendar(t.Context(), "Ivan", zoneName, mark())
					w.ok(err)
				}
				if calls := w.Requests(google.Filter{}); len(calls) != 2 || zones.reads != 1 {
					t.Errorf("%d calls, %d readings of what is remembered", len(calls), zones.reads)
				}
			})
		})
	}
}

// Rule 2.9: what the store cannot remember is found out again.
func TestARefusedZoneIsSentByItsLinkNameWithoutAStore(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		g := w.gateway.Remembering(&remembered{names: map[string]string{}, err: errors.New("no store")})
		for range 2 {
			_, err := g.CreateCalendar(t.Context(), "Ivan", zoneName, mark())
			w.ok(err)
		}
		if n := len(w.Requests(google.Filter{})); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	}, func(o *google.Options) { o.Ways.ZonesRefused = []string{zoneName} })
}

// Rule 7.7: a zone that Google takes by no name is the whole installation's.
func TestAZoneThatGoogleTakesByNoNameIsTheAccounts(t *testing.T) {
	t.Parallel()
	for method, write := range zoned {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				e := w.insert(c.ID, draft())
				w.ChangeWays(func(to *google.Ways) { to.ZonesRefused = []string{zoneName, linkName} })
				watcher := &heard{calls: map[string]error{}}
				err := write(t.Context(), w.gateway.Watched(watcher), c, e)
				f, ok := errors.AsType[*failure.Error](err)
				if !ok || f.Kind != failure.Misconfigured || !f.AccountWide || f.Reason != failure.ReasonZone || f.Status != http.StatusBadRequest {
					t.Errorf("%#v", err)
				}
				if watcher.zones != 0 || !errors.Is(watcher.calls[method], err) {
					t.Errorf("heard %+v", watcher)
				}
			})
		})
	}
}

// A 400 of another sort is sent once: rule 2.2.
func TestAnother400IsNoRefusedZone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		d := draft()
		d.Content.End = d.Content.Start
		d.Content.End.Instant = d.Content.Start.Instant.Add(-1)
		w.Inject(google.Fault{Method: "calendar.events.insert", Status: http.StatusBadRequest, Reason: "invalid", Message: "The time range is empty."})
		if _, err := w.gateway.InsertEvent(t.Context(), c.ID, d); !failure.Is(err, failure.Invalid) {
			t.Error(err)
		}
		if n := len(w.Requests(google.Filter{})); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

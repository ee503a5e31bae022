package googlecalendar

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"google.golang.org/api/googleapi"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Zones remember, for all processes, by which name Google takes a zone (rule 2.9).
type Zones interface {
	// GoogleZone gives the name; "" for the zone's own.
	GoogleZone(ctx context.Context, zone string) (string, error)
	// SetGoogleZone remembers it.
	SetGoogleZone(ctx context.Context, zone, name string) error
}

// Remembering has the gateway share with others what it learns of zones.
func (g *Gateway) Remembering(z Zones) *Gateway {
	g.zones.shared = z
	return g
}

// zoneNames are the names by which Google takes zones, as far as this process knows.
type zoneNames struct {
	shared Zones // nil for none
	mu     sync.Mutex
	names  map[string]string
}

// name is by which name to send a zone.
func (z *zoneNames) name(ctx context.Context, zone string) string {
	z.mu.Lock()
	name := z.names[zone]
	z.mu.Unlock()
	if name != "" {
		return name
	}
	if z.shared == nil {
		return zone
	}
	name, err := z.shared.GoogleZone(ctx, zone)
	if err != nil {
		return zone // Google says if it is not the name
	}
	if name == "" {
		name = zone
	}
	z.keep(zone, name)
	return name
}

func (z *zoneNames) keep(zone, name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.names == nil {
		z.names = map[string]string{}
	}
	z.names[zone] = name
}

// learn remembers the name that Google took after it had refused another.
func (z *zoneNames) learn(ctx context.Context, zone, name string) {
	z.keep(zone, name)
	if z.shared != nil {
		// What cannot be stored costs each process one call more.
		_ = z.shared.SetGoogleZone(ctx, zone, name)
	}
}

// callZoned makes a call that names a zone. If Google does not take the name, the zone's
// other name is tried, each in a slot of its own (rule 2.9). That no name is taken is
// nothing of this call: all others meet the same (rule 7.7). do is given the name, "" for
// a call that happens to name no zone.
func (g *Gateway) callZoned(ctx context.Context, o op, writesTo string, r retry, zone string, do func(ctx context.Context, zone string) error) error {
	if zone == "" {
		return g.call(ctx, o, writesTo, r, func(ctx context.Context) error { return do(ctx, "") })
	}
	return g.watched(ctx, o, func() error {
		sent := g.zones.name(ctx, zone)
		try := func(name string) error {
			return g.attempt(ctx, o.text, writesTo, r, func(ctx context.Context) error { return do(ctx, name) })
		}
		err := try(sent)
		for _, other := range []string{calendarsync.LinkName(zone), zone} {
			if !zoneRefused(err) || other == "" || other == sent {
				continue
			}
			again := try(other)
			if again == nil {
				g.zones.learn(ctx, zone, other)
			}
			err = again
		}
		if f, ok := errors.AsType[*failure.Error](err); ok && zoneRefused(err) {
			f.Kind, f.AccountWide = failure.Misconfigured, true
		}
		if err == nil && g.watcher != nil {
			g.watcher.ZoneTaken(ctx)
		}
		return err
	})
}

func zoneRefused(err error) bool {
	f, ok := errors.AsType[*failure.Error](err)
	return ok && f.Reason == failure.ReasonZone
}

// saysZone reports whether an answer refuses the name of a zone. Google has no reason of
// its own for that, so this alone is told by its words; should they change, the call fails
// as any other that is refused for good.
func saysZone(api *googleapi.Error) bool {
	return api.Code == http.StatusBadRequest && strings.Contains(strings.ToLower(api.Message), "invalid time zone")
}

// zoneOf is the zone that an event's times name, "" of an all-day event.
func (d Draft) zoneOf() string { return d.Content.Start.Zone }

// inZone gives the draft with its zone called by another name.
func (d Draft) inZone(name string) Draft {
	if name != "" {
		d.Content.Start.Zone, d.Content.End.Zone = name, name
	}
	return d
}

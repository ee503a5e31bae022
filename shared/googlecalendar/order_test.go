package googlecalendar_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

// steps keeps in which order a call asks for its token and its slot.
type steps []string

func (s *steps) Refused(context.Context, string, string) error { return nil }

func (s *steps) Wait(context.Context, string, string) error {
	*s = append(*s, "slot")
	return nil
}

// A call has its token before it takes a slot, each time anew: whoever waits for one
// behind the slot calls late, together with all the others that did (found by the
// simulation: four writes to one calendar in ten milliseconds).
func TestTheTokenIsThereBeforeTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := google.New(google.Options{BaseURL: baseURL, ClientID: "client-1", ClientSecret: "secret", Seed: 7,
			Accounts: []google.Account{{Sub: "1001", Email: owner}}})
		var did steps
		inner := server.Client(owner, googlecalendar.Scopes()...).Transport
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			did = append(did, "call")
			if len(did) < 4 {
				return reply(r, http.StatusUnauthorized, `{"error":{"code":401}}`), nil
			}
			return inner.RoundTrip(r)
		})}
		g, err := googlecalendar.New(t.Context(), client, baseURL+"/calendar/v3/", &did, func(context.Context) (string, error) {
			did = append(did, "token")
			return "1001", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Calendars(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"token", "slot", "call", "token", "slot", "call"}; !slices.Equal(did, want) {
			t.Errorf("did %v, want %v", did, want)
		}
	})
}

package syncemployee

import (
	"context"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// FromEnvironment makes the handler with Google's own services.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	w, err := workers.FromEnvironment(ctx)
	if err != nil {
		return nil, err
	}
	return New(Config{EmployeeTopic: w.Config.Employee},
		Deps{Calendars: w.Calendars, Publisher: w.Publisher, Hooks: w.Hooks, Now: time.Now, Log: w.Log}), nil
}

package synctask

import (
	"context"
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// FromEnvironment makes the handler with Google's own services.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	w, err := workers.FromEnvironment(ctx)
	if err != nil {
		return nil, err
	}
	return New(Config{EmployeeTopic: w.Config.Employee},
		Deps{Events: w.Events, Publisher: w.Publisher, Hooks: w.Hooks, Log: w.Log}), nil
}

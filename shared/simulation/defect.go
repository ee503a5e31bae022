package simulation

import (
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Defect is planted between the product and its surroundings, for the auditor to catch.
// Fields that are nil change nothing.
type Defect struct {
	Backend   func(store.Backend) store.Backend
	Transport func(http.RoundTripper) http.RoundTripper
	Publisher func(queue.Publisher) queue.Publisher
}

func (d Defect) backend(b store.Backend) store.Backend {
	if d.Backend == nil {
		return b
	}
	return d.Backend(b)
}

func (d Defect) transport(t http.RoundTripper) http.RoundTripper {
	if d.Transport == nil {
		return t
	}
	return d.Transport(t)
}

func (d Defect) publisher(q queue.Publisher) queue.Publisher {
	if d.Publisher == nil {
		return q
	}
	return d.Publisher(q)
}

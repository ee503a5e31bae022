package simulation

import (
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Plant puts a defect between the product and its surroundings: the auditor has
// to find it. What is nil is sound.
type Plant struct {
	Backend   func(store.Backend) store.Backend
	Transport func(http.RoundTripper) http.RoundTripper
	Publisher func(queue.Publisher) queue.Publisher
}

func (p Plant) backend(b store.Backend) store.Backend {
	if p.Backend == nil {
		return b
	}
	return p.Backend(b)
}

func (p Plant) transport(t http.RoundTripper) http.RoundTripper {
	if p.Transport == nil {
		return t
	}
	return p.Transport(t)
}

func (p Plant) publisher(q queue.Publisher) queue.Publisher {
	if p.Publisher == nil {
		return q
	}
	return p.Publisher(q)
}

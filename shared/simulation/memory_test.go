package simulation_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/simulation"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
)

// The simulation proves nothing on a store that is laxer than the product's.
func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Contract(t, func(*testing.T) store.Backend { return simulation.NewMemory(time.Now) })
}

func TestTheProductsStateOnMemory(t *testing.T) {
	t.Parallel()
	storetest.Product(t, func(*testing.T) store.Backend { return simulation.NewMemory(time.Now) })
}

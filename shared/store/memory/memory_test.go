package memory_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
)

// The simulation proves nothing on a store that is laxer than the product's.
func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Contract(t, func(*testing.T) store.Backend { return memory.New(time.Now) })
}

func TestTheProductsState(t *testing.T) {
	t.Parallel()
	storetest.Product(t, func(*testing.T) store.Backend { return memory.New(time.Now) })
}

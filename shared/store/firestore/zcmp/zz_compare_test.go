package zcmp

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	old "github.com/erp-calendar/erp-calendar/shared/store/firestore/zold"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

type count struct {
	N int64 `firestore:"n" json:"n"`
}

func incr(ctx context.Context, b store.Backend, ref store.Ref, runs *atomic.Int64) error {
	return b.Transact(ctx, func(tx store.Tx) error {
		runs.Add(1)
		var c count
		if _, err := tx.Get(ref, &c); err != nil {
			return err
		}
		c.N++
		return tx.Set(ref, c)
	})
}

func TestZZCompare(t *testing.T) {
	e := testenv.Firestore(t)
	n1, err := firestore.New(t.Context(), e.Project, "", e.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	o1, err := old.New(t.Context(), e.Project, "", e.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var runs atomic.Int64
	which := map[string]store.Backend{"new": n1}
	if os.Getenv("OLD") != "" {
		which["old"] = o1
	}
	for name, b := range which {
		for i := range 200 {
			_ = incr(ctx, b, store.Ref{Collection: store.Runs, ID: fmt.Sprint("warm", i)}, &runs)
		}
		s := time.Now()
		for i := range 300 {
			if err := incr(ctx, b, store.Ref{Collection: store.Runs, ID: fmt.Sprint("w", name, i%7)}, &runs); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%s: single %v", name, time.Since(s)/300)
	}
	for round := range 2 {
		for name, b := range which {
			for _, n := range []int{20, 50} {
				runs.Store(0)
				ref := store.Ref{Collection: store.Runs, ID: rand.Text()}
				var wg sync.WaitGroup
				var fails atomic.Int64
				s := time.Now()
				for range n {
					wg.Go(func() {
						c, cancel := context.WithTimeout(ctx, 30*time.Second)
						defer cancel()
						if err := incr(c, b, ref, &runs); err != nil {
							fails.Add(1)
						}
					})
				}
				wg.Wait()
				t.Logf("round %d %s: %d increments %v, runs %d, failed %d", round, name, n, time.Since(s), runs.Load(), fails.Load())
			}
			st := store.New(b)
			var wg sync.WaitGroup
			s := time.Now()
			var fails, taken atomic.Int64
			id := time.Now().UnixNano()
			for range 50 {
				wg.Go(func() {
					c, cancel := context.WithTimeout(ctx, 30*time.Second)
					defer cancel()
					l, o, err := st.AcquireTask(c, id, store.Claim{Token: rand.Text(), Message: rand.Text(), TTL: 2 * time.Minute})
					if err != nil {
						fails.Add(1)
						return
					}
					for o == store.Taken {
						released, err := st.SettleTask(c, &l, store.TaskOutcome{})
						if err != nil {
							t.Log("settle", err)
							fails.Add(1)
							return
						}
						if released {
							taken.Add(1)
							return
						}
					}
				})
			}
			wg.Wait()
			t.Logf("round %d %s: 50 acquire/settle %v, taken %d, failed %d", round, name, time.Since(s), taken.Load(), fails.Load())
		}
	}
}

package bolt_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

type mapping struct {
	EventID  string    `firestore:"event_id" json:"event_id"`
	Deadline time.Time `firestore:"deadline,omitempty" json:"deadline,omitzero"`
}

// task is of the size and with the indexes of a task's record.
type task struct {
	ID        int64              `firestore:"id" json:"id"`
	Employees []int64            `firestore:"employees,omitempty" json:"employees,omitempty"`
	Mappings  map[string]mapping `firestore:"mappings,omitempty" json:"mappings,omitempty"`
	Due       time.Time          `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	Pending   time.Time          `firestore:"pending_since,omitempty" json:"pending_since,omitzero"`
}

func taskRef(n int) store.Ref {
	return store.Ref{Collection: store.Tasks, ID: fmt.Sprintf("%019d", n)}
}

// getAndSet is a lease's transaction: read one document, write it changed.
func getAndSet(ctx context.Context, b store.Backend, n int) error {
	return b.Transact(ctx, func(tx store.Tx) error {
		doc := task{ID: int64(n), Employees: []int64{1, 2}, Mappings: map[string]mapping{"1": {EventID: "e"}}}
		if _, err := tx.Get(taskRef(n), &doc); err != nil {
			return err
		}
		doc.Due, doc.Pending = tx.Now(), tx.Now()
		return tx.Set(taskRef(n), doc)
	})
}

func BenchmarkTransact(b *testing.B) {
	for name, opts := range map[string][]bolt.Option{"sync": nil, "nosync": {bolt.NoSync()}} {
		for _, size := range []int{100, 10000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				s := open(b, filepath.Join(b.TempDir(), "store"), time.Now, opts...)
				for at := 0; at < size; at += 100 {
					err := s.Transact(b.Context(), func(tx store.Tx) error {
						for n := at; n < at+100; n++ {
							if err := tx.Set(taskRef(n), task{ID: int64(n), Employees: []int64{int64(n % 50)}}); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				n := 0
				for b.Loop() {
					n = (n + 7919) % size
					if err := getAndSet(b.Context(), s, n); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/parallel", name, size), func(b *testing.B) {
				s := open(b, filepath.Join(b.TempDir(), "store"), time.Now, opts...)
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for n := 0; pb.Next(); n++ {
						if err := getAndSet(context.Background(), s, n%size); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

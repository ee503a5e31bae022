package zcmp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	vkit "cloud.google.com/go/firestore/apiv1"

	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

func TestTrace(t *testing.T) {
	e := testenv.Firestore(t)
	c, err := vkit.NewClient(t.Context(), e.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	db := "projects/" + e.Project + "/databases/(default)"
	for _, mode := range []pb.TransactionOptions_ConcurrencyMode{0, 1, 2} {
		for _, n := range []int{2, 4} {
			start := time.Now()
			at := func() int64 { return time.Since(start).Milliseconds() }
			var wg sync.WaitGroup
			doc := fmt.Sprintf("%s/documents/tasks/m%d-%d", db, mode, n)
			var mu sync.Mutex
			say := func(f string, a ...any) { mu.Lock(); defer mu.Unlock(); fmt.Printf(f+"\n", a...) }
			say("MODE %v n %d", mode, n)
			for i := range n {
				wg.Go(func() {
					var lost []byte
					for try := range 8 {
						a := at()
						s, err := c.BatchGetDocuments(ctx, &pb.BatchGetDocumentsRequest{Database: db, Documents: []string{doc},
							ConsistencySelector: &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{ConcurrencyMode: mode, RetryTransaction: lost}}}}})
						var id []byte
						for err == nil {
							var r *pb.BatchGetDocumentsResponse
							r, err = s.Recv()
							if err == nil && len(r.Transaction) > 0 {
								id = r.Transaction
							}
						}
						b := at()
						say("%d.%d read %d-%d id %x %v", i, try, a, b, id, err)
						_, err = c.Commit(ctx, &pb.CommitRequest{Database: db, Transaction: id, Writes: []*pb.Write{{Operation: &pb.Write_Update{Update: &pb.Document{Name: doc, Fields: map[string]*pb.Value{"x": {ValueType: &pb.Value_IntegerValue{IntegerValue: 1}}}}}}}})
						say("%d.%d commit %d-%d %v", i, try, b, at(), err)
						if err == nil {
							return
						}
						lost = id
						time.Sleep(time.Duration(5+3*i) * time.Millisecond)
					}
				})
			}
			wg.Wait()
		}
	}
}

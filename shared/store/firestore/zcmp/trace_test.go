package zcmp

import (
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	vkit "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/protobuf/types/known/timestamppb"

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
	put := func(id string, n int64, pre *pb.Precondition) error {
		doc := db + "/documents/tasks/" + id
		_, err := c.Commit(ctx, &pb.CommitRequest{Database: db, Writes: []*pb.Write{{CurrentDocument: pre, Operation: &pb.Write_Update{Update: &pb.Document{Name: doc, Fields: map[string]*pb.Value{"x": {ValueType: &pb.Value_IntegerValue{IntegerValue: n}}}}}}}})
		return err
	}
	get := func(id string, at *timestamppb.Timestamp) *pb.BatchGetDocumentsResponse {
		r := &pb.BatchGetDocumentsRequest{Database: db, Documents: []string{db + "/documents/tasks/" + id}}
		if at != nil {
			r.ConsistencySelector = &pb.BatchGetDocumentsRequest_ReadTime{ReadTime: at}
		}
		s, err := c.BatchGetDocuments(ctx, r)
		if err != nil {
			t.Error(err)
			return nil
		}
		x, err := s.Recv()
		if err != nil {
			t.Error(err)
		}
		return x
	}
	exists := func(b bool) *pb.Precondition { return &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: b}} }
	upd := func(x *pb.BatchGetDocumentsResponse) *pb.Precondition {
		return &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: x.GetFound().UpdateTime}}
	}
	t.Log("create", put("a", 1, exists(false)))
	t.Log("create again", put("a", 1, exists(false)))
	a := get("a", nil)
	t.Log("a", a)
	t.Log("update", put("a", 2, upd(a)))
	t.Log("update stale", put("a", 3, upd(a)))
	t.Log("a at old", get("a", a.GetReadTime()))
	t.Log("a now", get("a", nil))
	m := get("m", nil)
	t.Log("m", m)
	t.Log("create m", put("m", 2, exists(false)))
	t.Log("m at old", get("m", m.GetReadTime()))
	x := get("a", nil)
	del := func(id string, pre *pb.Precondition) error {
		_, err := c.Commit(ctx, &pb.CommitRequest{Database: db, Writes: []*pb.Write{{CurrentDocument: pre, Operation: &pb.Write_Delete{Delete: db + "/documents/tasks/" + id}}}})
		return err
	}
	t.Log("delete stale", del("a", upd(a)))
	t.Log("delete fresh", del("a", upd(x)))
	t.Log("delete gone w/ time", del("a", upd(x)))
	t.Log("delete missing exists:false", del("a", exists(false)))
	t.Log("delete there exists:false", del("m", exists(false)))
	t.Log("update gone", put("a", 9, upd(x)))
	// twice in one commit, the second write after the first with a precondition
	mm := get("m", nil)
	doc := db + "/documents/tasks/m"
	w := func(n int64, pre *pb.Precondition) *pb.Write {
		return &pb.Write{CurrentDocument: pre, Operation: &pb.Write_Update{Update: &pb.Document{Name: doc, Fields: map[string]*pb.Value{"x": {ValueType: &pb.Value_IntegerValue{IntegerValue: n}}}}}}
	}
	_, err = c.Commit(ctx, &pb.CommitRequest{Database: db, Writes: []*pb.Write{w(5, upd(mm)), w(6, nil)}})
	t.Log("twice", err, get("m", nil))
	mm = get("m", nil)
	t.Log("same content", put("m", 6, upd(mm)), get("m", nil))
}

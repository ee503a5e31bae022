package firestore

import (
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// structured gives a query in Firestore's form. Firestore itself appends the id
// as the last order, in the direction of the one before.
func (b *Backend) structured(s document.Selection) *pb.StructuredQuery {
	q := &pb.StructuredQuery{
		From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: string(s.Collection)}},
	}
	if s.Limit > 0 {
		q.Limit = wrapperspb.Int32(int32(min(s.Limit, 1<<31-1)))
	}
	field := func(path string) *pb.StructuredQuery_FieldReference {
		return &pb.StructuredQuery_FieldReference{FieldPath: path}
	}
	filter := func(op pb.StructuredQuery_FieldFilter_Operator, value any) *pb.StructuredQuery_Filter {
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{
			FieldFilter: &pb.StructuredQuery_FieldFilter{Field: field(s.Field), Op: op, Value: toValue(value)},
		}}
	}
	where := func(op pb.StructuredQuery_FieldFilter_Operator, value any) { q.Where = filter(op, value) }
	order := func(path string) {
		direction := pb.StructuredQuery_ASCENDING
		if s.Descending {
			direction = pb.StructuredQuery_DESCENDING
		}
		q.OrderBy = []*pb.StructuredQuery_Order{{Field: field(path), Direction: direction}}
	}
	switch s.Op {
	case store.Every:
		order("__name__")
		if s.After != "" {
			name := b.name(store.Ref{Collection: s.Collection, ID: s.After})
			q.StartAt = &pb.Cursor{Values: []*pb.Value{{ValueType: &pb.Value_ReferenceValue{ReferenceValue: name}}}}
		}
	case store.Equal:
		where(pb.StructuredQuery_FieldFilter_EQUAL, s.Bound)
	case store.AtMost:
		where(pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, s.Bound)
		order(s.Field)
	case store.AtLeast:
		where(pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL, s.Bound)
		if s.Under != nil {
			q.Where = &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: &pb.StructuredQuery_CompositeFilter{
				Op:      pb.StructuredQuery_CompositeFilter_AND,
				Filters: []*pb.StructuredQuery_Filter{q.Where, filter(pb.StructuredQuery_FieldFilter_LESS_THAN, s.Under)},
			}}}
		}
		order(s.Field)
	case store.Exists:
		order(s.Field)
	case store.ContainsAny:
		values := make([]any, len(s.Any))
		for i, n := range s.Any {
			values[i] = n
		}
		where(pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY, values)
	}
	return q
}

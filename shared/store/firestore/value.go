package firestore

import (
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// toFields turns a tree into Firestore's form.
func toFields(tree document.Tree) map[string]*pb.Value {
	fields := make(map[string]*pb.Value, len(tree))
	for name, value := range tree {
		fields[name] = toValue(value)
	}
	return fields
}

// toValue turns one value of a tree; anything else becomes null, which package
// document never makes.
func toValue(value any) *pb.Value {
	switch x := value.(type) {
	case bool:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: x}}
	case int64:
		return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: x}}
	case float64:
		return &pb.Value{ValueType: &pb.Value_DoubleValue{DoubleValue: x}}
	case string:
		return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: x}}
	case []byte:
		return &pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: x}}
	case time.Time:
		return &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamppb.New(x)}}
	case []any:
		values := make([]*pb.Value, len(x))
		for i, e := range x {
			values[i] = toValue(e)
		}
		return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: values}}}
	case map[string]any:
		return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: toFields(x)}}}
	}
	return &pb.Value{ValueType: &pb.Value_NullValue{}}
}

// treeOf is the tree of a document, nil for none.
func treeOf(doc *pb.Document) document.Tree {
	if doc == nil {
		return nil
	}
	return fromFields(doc.Fields)
}

// fromFields is the reverse of toFields.
func fromFields(fields map[string]*pb.Value) document.Tree {
	tree := make(document.Tree, len(fields))
	for name, value := range fields {
		tree[name] = fromValue(value)
	}
	return tree
}

// fromValue is the reverse of toValue. Null becomes nil; what trees do not have
// (references, points) stays as it is, and document.Decode refuses it by its type.
func fromValue(value *pb.Value) any {
	switch x := value.GetValueType().(type) {
	case *pb.Value_BooleanValue:
		return x.BooleanValue
	case *pb.Value_IntegerValue:
		return x.IntegerValue
	case *pb.Value_DoubleValue:
		return x.DoubleValue
	case *pb.Value_StringValue:
		return x.StringValue
	case *pb.Value_BytesValue:
		return x.BytesValue
	case *pb.Value_TimestampValue:
		return x.TimestampValue.AsTime()
	case *pb.Value_ArrayValue:
		values := make([]any, len(x.ArrayValue.GetValues()))
		for i, e := range x.ArrayValue.GetValues() {
			values[i] = fromValue(e)
		}
		return values
	case *pb.Value_MapValue:
		return fromFields(x.MapValue.GetFields())
	case *pb.Value_NullValue, nil:
		return nil
	}
	return value
}

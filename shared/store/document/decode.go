package document

import (
	"fmt"
	"reflect"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Decode reads a tree into a pointer to a struct. Fields that the tree lacks
// become zero, so that nothing of an earlier read survives; fields that are no
// part of a document (unexported, or named "-") are left as they are. If it
// fails, the struct is untouched; the error has the kind failure.Invalid and
// names types and fields, never values.
func Decode(tree Tree, into any) error {
	p := reflect.ValueOf(into)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.Struct {
		return failure.New(failure.Invalid, "decode document", fmt.Sprintf("it must be read into a pointer to a struct, not %T", into))
	}
	fresh := reflect.New(p.Elem().Type()).Elem()
	fresh.Set(p.Elem())
	if err := decodeStruct(tree, fresh); err != nil {
		return failure.Wrap(failure.Invalid, "decode document", err)
	}
	p.Elem().Set(fresh)
	return nil
}

func decodeStruct(tree Tree, into reflect.Value) error {
	fields, err := fieldsOf(into.Type())
	if err != nil {
		return err
	}
	for _, f := range fields {
		fv := into.FieldByIndex(f.index)
		fv.SetZero()
		if value := tree[f.name]; value != nil {
			if err := decode(value, fv); err != nil {
				return fmt.Errorf("%s.%s: %w", into.Type(), f.name, err)
			}
		}
	}
	return nil
}

// decode sets into, which is zero, to the value.
func decode(value any, into reflect.Value) error {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		return decode(value, into.Elem())
	}
	mismatch := func() error { return fmt.Errorf("a %T does not fit into %s", value, into.Type()) }
	switch x := value.(type) {
	case time.Time:
		if into.Type() != timeType {
			return mismatch()
		}
		into.Set(reflect.ValueOf(Time(x)))
	case bool:
		if into.Kind() != reflect.Bool {
			return mismatch()
		}
		into.SetBool(x)
	case string:
		if into.Kind() != reflect.String {
			return mismatch()
		}
		into.SetString(x)
	case int64:
		switch {
		case into.CanInt() && !into.OverflowInt(x):
			into.SetInt(x)
		case into.CanUint() && x >= 0 && !into.OverflowUint(uint64(x)):
			into.SetUint(uint64(x))
		case into.CanFloat():
			into.SetFloat(float64(x))
		default:
			return mismatch()
		}
	case float64:
		if !into.CanFloat() {
			return mismatch()
		}
		into.SetFloat(x)
	case []byte:
		if into.Kind() != reflect.Slice || into.Type().Elem().Kind() != reflect.Uint8 {
			return mismatch()
		}
		if len(x) > 0 {
			into.SetBytes(append([]byte{}, x...))
		}
	case []any:
		if into.Kind() != reflect.Slice {
			return mismatch()
		}
		return decodeSlice(x, into)
	case map[string]any:
		switch {
		case into.Kind() == reflect.Map && into.Type().Key().Kind() == reflect.String:
			return decodeMap(x, into)
		case into.Kind() == reflect.Struct && into.Type() != timeType:
			return decodeStruct(x, into)
		}
		return mismatch()
	default:
		return mismatch()
	}
	return nil
}

func decodeSlice(values []any, into reflect.Value) error {
	if len(values) == 0 {
		return nil
	}
	out := reflect.MakeSlice(into.Type(), len(values), len(values))
	for i, value := range values {
		if err := decode(value, out.Index(i)); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	into.Set(out)
	return nil
}

func decodeMap(values map[string]any, into reflect.Value) error {
	if len(values) == 0 {
		return nil
	}
	t := into.Type()
	out := reflect.MakeMapWithSize(t, len(values))
	for k, value := range values {
		e := reflect.New(t.Elem()).Elem()
		if err := decode(value, e); err != nil {
			return fmt.Errorf("value of %s: %w", t, err)
		}
		out.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), e)
	}
	into.Set(out)
	return nil
}

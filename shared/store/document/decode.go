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
	kind := into.Kind()
	if kind == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		return decode(value, into.Elem())
	}
	switch x := value.(type) {
	case []any:
		if kind == reflect.Slice {
			return decodeSlice(x, into)
		}
	case map[string]any:
		if kind == reflect.Map && into.Type().Key().Kind() == reflect.String {
			return decodeMap(x, into)
		}
		if kind == reflect.Struct && into.Type() != timeType {
			return decodeStruct(x, into)
		}
	default:
		if decodeScalar(value, into) {
			return nil
		}
	}
	return fmt.Errorf("a %T does not fit into %s", value, into.Type())
}

// decodeScalar sets into to a value without parts; false if it does not fit.
func decodeScalar(value any, into reflect.Value) (fits bool) {
	switch x := value.(type) {
	case time.Time:
		if fits = into.Type() == timeType; fits {
			into.Set(reflect.ValueOf(Time(x)))
		}
	case bool:
		if fits = into.Kind() == reflect.Bool; fits {
			into.SetBool(x)
		}
	case string:
		if fits = into.Kind() == reflect.String; fits {
			into.SetString(x)
		}
	case int64:
		return decodeInt(x, into)
	case float64:
		if fits = into.CanFloat(); fits {
			into.SetFloat(x)
		}
	case []byte:
		fits = into.Kind() == reflect.Slice && into.Type().Elem().Kind() == reflect.Uint8
		if fits && len(x) > 0 {
			into.SetBytes(append([]byte{}, x...))
		}
	}
	return fits
}

func decodeInt(x int64, into reflect.Value) (fits bool) {
	switch {
	case into.CanInt() && !into.OverflowInt(x):
		into.SetInt(x)
	case into.CanUint() && x >= 0 && !into.OverflowUint(uint64(x)):
		into.SetUint(uint64(x))
	case into.CanFloat():
		into.SetFloat(float64(x))
	default:
		return false
	}
	return true
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

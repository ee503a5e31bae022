// Package document is Firestore's document model in plain Go: it turns structs
// into trees of values that Firestore can hold and back, and refuses what
// Firestore would refuse (ids, sizes, nested arrays). Every backend of
// shared/store uses it, so that code proven on bolt also holds on Firestore. It
// must never do I/O, and its errors must never hold a document's contents.
//
// A tree consists of bool, int64, float64, string, []byte, time.Time (UTC, whole
// microseconds), []any and map[string]any. What is empty is absent: nil pointers,
// empty slices and maps and zero times of struct fields are left out of the tree,
// so that queries never select a document by them, and are read back as zero
// values (an empty slice or map as nil).
package document

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Tree is the top level of a document.
type Tree = map[string]any

// Precision of every time in a tree (Firestore's).
const Precision = time.Microsecond

// Time gives t as a database keeps it: in UTC, cut to microseconds.
func Time(t time.Time) time.Time { return t.UTC().Truncate(Precision) }

var timeType = reflect.TypeFor[time.Time]()

// field is one field of a document in a struct; index leads through embedded structs.
type field struct {
	name  string
	index []int
	// omitEmpty and omitZero mean what they mean to encoding/json.
	omitEmpty, omitZero bool
}

// fieldsOf lists the document's fields of a struct type: exported, embedded
// structs flattened. A field's name is that of its firestore tag or, without
// one, of its json tag; a field with neither or with two different names is a
// fault of the program.
func fieldsOf(t reflect.Type) ([]field, error) {
	if known, ok := fieldsByType.Load(t); ok {
		if fields, ok := known.([]field); ok {
			return fields, nil
		}
	}
	fields, err := flatten(nil, t, nil)
	if err == nil {
		fieldsByType.Store(t, fields)
	}
	return fields, err
}

// fieldsByType keeps what was found out about types, which never change: each document
// that is read or written asks for it.
var fieldsByType sync.Map //nolint:gochecknoglobals // see above

// flatten appends to out the fields of a struct that stands at an index path.
func flatten(out []field, t reflect.Type, at []int) (_ []field, err error) {
	for i := range t.NumField() {
		sf := t.Field(i)
		index := append(append([]int{}, at...), i)
		_, cloud := sf.Tag.Lookup("firestore")
		_, plain := sf.Tag.Lookup("json")
		switch {
		case sf.Anonymous && !cloud && !plain:
			if sf.Type.Kind() != reflect.Struct || sf.Type == timeType {
				return nil, fmt.Errorf("%s.%s: only structs can be embedded without a tag", t, sf.Name)
			}
			if out, err = flatten(out, sf.Type, index); err != nil {
				return nil, err
			}
		case sf.IsExported():
			f, err := tagged(sf.Tag)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t, sf.Name, err)
			}
			if f.name == "-" {
				continue
			}
			if slices.ContainsFunc(out, func(o field) bool { return o.name == f.name }) {
				return nil, fmt.Errorf("%s.%s: second field with the name %q", t, sf.Name, f.name)
			}
			f.index = index
			out = append(out, f)
		}
	}
	return out, nil
}

// tagged reads a field's tags; the name "-" is no part of a document.
func tagged(tag reflect.StructTag) (field, error) {
	cloud, hasCloud := tag.Lookup("firestore")
	plain, hasPlain := tag.Lookup("json")
	name, options, _ := strings.Cut(cloud, ",")
	plainName, plainOptions, _ := strings.Cut(plain, ",")
	switch {
	case !hasCloud && !hasPlain:
		return field{}, fmt.Errorf("neither a firestore nor a json tag")
	case !hasCloud:
		name, options = plainName, plainOptions
	case hasPlain && name != plainName:
		return field{}, fmt.Errorf("firestore tag %q and json tag %q differ", name, plainName)
	}
	f := field{name: name}
	if name == "-" {
		return f, nil
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			f.omitEmpty = true
		case "omitzero":
			f.omitZero = true
		case "":
		default:
			return f, fmt.Errorf("unknown tag option %q", option)
		}
	}
	return f, checkKey(name)
}

// checkKey refuses map keys and field names that Firestore refuses.
func checkKey(k string) error {
	switch {
	case k == "":
		return fmt.Errorf("empty name")
	case len(k) > 1500:
		return fmt.Errorf("a name of more than 1500 bytes")
	case !utf8.ValidString(k):
		return fmt.Errorf("a name that is no UTF-8")
	case reserved(k):
		return fmt.Errorf("the name %q is reserved (__.*__)", k)
	}
	return nil
}

func reserved(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__")
}

// Encode turns a struct, or a pointer to one, into a tree. Its errors have the
// kind failure.Invalid and name types and fields, never values.
func Encode(doc any) (Tree, error) {
	v := reflect.ValueOf(doc)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v.Type() == timeType {
		return nil, invalid(fmt.Errorf("a document must be a struct or a pointer to one, not %T", doc))
	}
	tree, err := encodeStruct(v)
	if err != nil {
		return nil, invalid(err)
	}
	return tree, nil
}

// Value turns a single value, such as that of a query, into its form in a tree.
func Value(v any) (any, error) {
	if v == nil {
		return nil, invalid(fmt.Errorf("no value"))
	}
	out, err := encode(reflect.ValueOf(v))
	if err != nil {
		return nil, invalid(err)
	}
	return out, nil
}

func invalid(err error) error { return failure.Wrap(failure.Invalid, "encode document", err) }

func encodeStruct(v reflect.Value) (Tree, error) {
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return nil, err
	}
	// Most fields of most documents are empty: a map for all of them would be thrown away.
	present := 0
	for _, f := range fields {
		if !f.leftOut(v.FieldByIndex(f.index)) {
			present++
		}
	}
	tree := make(Tree, present)
	for _, f := range fields {
		fv := v.FieldByIndex(f.index)
		if f.leftOut(fv) {
			continue
		}
		value, err := encode(fv)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", v.Type(), f.name, err)
		}
		tree[f.name] = value
	}
	return tree, nil
}

// leftOut reports whether a field with a value is no part of the document.
func (f field) leftOut(v reflect.Value) bool {
	return absent(v) || f.omitEmpty && emptyScalar(v) || f.omitZero && zero(v)
}

// absent reports whether a field is left out whatever its tag says. Firestore would
// keep null, and an ordered query would select it.
func absent(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return true
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		at, ok := reflect.TypeAssert[time.Time](v)
		return ok && at.IsZero()
	}
	return false
}

func emptyScalar(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct, reflect.Array:
		return false
	}
	return v.IsZero()
}

func zero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && v.Kind() != reflect.Pointer {
		return z.IsZero()
	}
	return v.IsZero()
}

func encode(v reflect.Value) (any, error) {
	if at, ok := reflect.TypeAssert[time.Time](v); ok {
		t := Time(at)
		if t.Year() < 1 || t.Year() > 9999 {
			return nil, fmt.Errorf("a time outside the years 1 to 9999")
		}
		return t, nil
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return nil, fmt.Errorf("a number that is not finite")
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return nil, fmt.Errorf("a string that is no UTF-8")
		}
		return v.String(), nil
	case reflect.Pointer:
		if v.IsNil() {
			return nil, fmt.Errorf("a nil pointer in a slice or map")
		}
		return encode(v.Elem())
	case reflect.Slice:
		return encodeSlice(v)
	case reflect.Map:
		return encodeMap(v)
	case reflect.Struct:
		return encodeStruct(v)
	}
	return nil, fmt.Errorf("values of type %s cannot be stored", v.Type())
}

func encodeSlice(v reflect.Value) (any, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return append([]byte{}, v.Bytes()...), nil
	}
	out := make([]any, v.Len())
	for i := range out {
		e, err := encode(v.Index(i))
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		if _, nested := e.([]any); nested {
			return nil, fmt.Errorf("an array in an array (Firestore has none)")
		}
		out[i] = e
	}
	return out, nil
}

func encodeMap(v reflect.Value) (any, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("a map whose keys are no strings (%s)", v.Type())
	}
	out := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		if err := checkKey(it.Key().String()); err != nil {
			return nil, fmt.Errorf("key of %s: %w", v.Type(), err)
		}
		e, err := encode(it.Value())
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", v.Type(), err)
		}
		out[it.Key().String()] = e
	}
	return out, nil
}

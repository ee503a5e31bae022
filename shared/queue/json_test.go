package queue_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/queue"
)

func TestCheckJSON(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for _, letter := range strings.Split("abcdefghijkl", "") {
			b.WriteString(`"` + letter + `":{},`)
		}
		return "{" + b.String() + `"` + last + `":1}`
	}
	for text, sound := range map[string]bool{
		`{}`: true, ` [1, {"a": "}", "b": [ ]} ] `: true, `"\""`: true, "1": true, "null": true,
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}`: true,
		"": false, "{": false, "{}{}": false, `{"a":1}x`: false, "{'a':1}": false,
		`{"a":1,"a":2}`: false, `{"a":1, "A" :2}`: false, `{"x":[{"a":1,"a":2}]}`: false,
		`{"a":1,"\u0061":2}`: false, `{"\u0061":1,"a":2}`: false, `{"я":1,"Я":2}`: false, `{"я":1,"ю":2}`: true,
		many("m"): true, many("c"): false, many("C"): false, many("l"): false, many(`\u0041`): false,
	} {
		if err := queue.CheckJSON([]byte(text)); (err == nil) != sound {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMembersAndElements(t *testing.T) {
	var got []string
	object, err := queue.Members([]byte(" { \"a\" : [ 1 , \"]\" ] , \"\\u0062\":-1.5e3,\"c\":{\"d\":\"\\\\\"}\n}"), func(name, value []byte) error {
		got = append(got, string(name)+"="+string(value))
		return nil
	})
	if want := []string{`a=[ 1 , "]" ]`, `b=-1.5e3`, `c={"d":"\\"}`}; !object || err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %t, %v", got, object, err)
	}
	if object, _ = queue.Members([]byte("[]"), nil); object {
		t.Error("a list is no object")
	}
	got = nil
	err = queue.Elements([]byte(` [ {"a":[1]} ,"x,]", null,[] ] `), func(_ int, element []byte) error {
		got = append(got, string(element))
		return nil
	})
	if want := []string{`{"a":[1]}`, `"x,]"`, "null", "[]"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whatever encoding/json takes for a value is taken apart as encoding/json does it.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{},"\"}",2]}`, ` [1 ,[2] ]`, `{"\u00e9\n":"é","x":{"y":[]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if queue.CheckJSON(data) != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err == nil && object != nil {
			n := 0
			if ok, err := queue.Members(data, func(name, value []byte) error {
				n++
				if want, there := object[string(name)]; !there || !bytes.Equal(bytes.TrimSpace(want), value) {
					t.Errorf("%q: %q, want %q", name, value, want)
				}
				return nil
			}); !ok || err != nil || n != len(object) {
				t.Errorf("%d members of %d, %v", n, len(object), err)
			}
		}
		var array []json.RawMessage
		if err := json.Unmarshal(data, &array); err == nil && array != nil {
			n := 0
			if err := queue.Elements(data, func(i int, element []byte) error {
				n++
				if !bytes.Equal(bytes.TrimSpace(array[i]), element) {
					t.Errorf("element %d: %q, want %q", i, element, array[i])
				}
				return nil
			}); err != nil || n != len(array) {
				t.Errorf("%d elements of %d, %v", n, len(array), err)
			}
		}
	})
}

package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func key(t *testing.T, fill string) webhook.Key {
	t.Helper()
	k, err := webhook.ParseKey("whsec_" + strings.Repeat(fill, 8)) // 32 characters: 24 bytes
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k webhook.Key, id string, at time.Time, payload string) http.Header {
	t.Helper()
	h, err := webhook.Sign(k, id, at, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestParseKey(t *testing.T) {
	for text, ok := range map[string]bool{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":            true, // the specification's example: 24 bytes
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": true, // 32 bytes without padding
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":                  false,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa":              false, // 22 bytes
		"whsec_***":                                         false,
		"whsec_":                                            false,
	} {
		_, err := webhook.ParseKey(text)
		if (err == nil) != ok {
			t.Errorf("ParseKey(%q): %v, want ok %v", text, err, ok)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// The vector of the Standard Webhooks specification's own test suite.
func TestSignMatchesTheSpecification(t *testing.T) {
	k, err := webhook.ParseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := sign(t, k, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), `{"test": 2432232314}`)
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	a, b, other := key(t, "AAAA"), key(t, "BBBB"), key(t, "CCCC")
	v := webhook.NewVerifier([]webhook.Key{a, b}, func() time.Time { return noon })
	const payload = `{"type":"task.changed"}`
	without := func(name string) http.Header {
		h := sign(t, a, "m1", noon, payload)
		h.Del(name)
		return h
	}
	with := func(name, value string) http.Header {
		h := sign(t, a, "m1", noon, payload)
		h.Set(name, value)
		return h
	}
	several := with("webhook-signature", "v2,xyz v1,AAAA "+sign(t, b, "m1", noon, payload).Get("webhook-signature"))
	for name, c := range map[string]struct {
		headers http.Header
		payload string
		kind    webhook.Kind // "" is accepted
		header  string
	}{
		"first key":           {sign(t, a, "m1", noon, payload), payload, "", ""},
		"second key":          {sign(t, b, "m1", noon, payload), payload, "", ""},
		"several signatures":  {several, payload, "", ""},
		"unknown key":         {sign(t, other, "m1", noon, payload), payload, webhook.Wrong, "webhook-signature"},
		"other payload":       {sign(t, a, "m1", noon, payload), payload + " ", webhook.Wrong, "webhook-signature"},
		"other id":            {with("webhook-id", "m2"), payload, webhook.Wrong, "webhook-signature"},
		"other time":          {with("webhook-timestamp", fmt.Sprint(noon.Unix()+1)), payload, webhook.Wrong, "webhook-signature"},
		"no version":          {with("webhook-signature", "abc"), payload, webhook.Wrong, "webhook-signature"},
		"no id":               {without("webhook-id"), payload, webhook.Missing, "webhook-id"},
		"no timestamp":        {without("webhook-timestamp"), payload, webhook.Missing, "webhook-timestamp"},
		"no signature":        {without("webhook-signature"), payload, webhook.Missing, "webhook-signature"},
		"timestamp no number": {with("webhook-timestamp", "2026-11-22"), payload, webhook.Malformed, "webhook-timestamp"},
		"5 minutes old":       {sign(t, a, "m1", noon.Add(-5*time.Minute), payload), payload, "", ""},
		"too old":             {sign(t, a, "m1", noon.Add(-5*time.Minute-time.Second), payload), payload, webhook.Stale, "webhook-timestamp"},
		"5 minutes ahead":     {sign(t, a, "m1", noon.Add(5*time.Minute), payload), payload, "", ""},
		"too far ahead":       {sign(t, a, "m1", noon.Add(5*time.Minute+time.Second), payload), payload, webhook.Future, "webhook-timestamp"},
		"very old":            {with("webhook-timestamp", "-9223372036854775808"), payload, webhook.Stale, "webhook-timestamp"},
		"very far ahead":      {with("webhook-timestamp", "9223372036854775807"), payload, webhook.Future, "webhook-timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			err := v.Verify(c.headers, []byte(c.payload))
			if c.kind == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			refusal, ok := errors.AsType[*webhook.Error](err)
			if !ok || refusal.Kind != c.kind || refusal.Header != c.header {
				t.Fatalf("got %v, want %s of %s", err, c.kind, c.header)
			}
			if !strings.Contains(err.Error(), c.header) {
				t.Errorf("%q does not name %s", err, c.header)
			}
		})
	}
}

func TestNoKeysRefuseEverything(t *testing.T) {
	for name, keys := range map[string][]webhook.Key{"none": nil, "an empty one": {{}}} {
		v := webhook.NewVerifier(keys, func() time.Time { return noon })
		for _, k := range []webhook.Key{{}, key(t, "AAAA")} {
			if v.Verify(sign(t, k, "m", noon, "x"), []byte("x")) == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := key(t, "Abcd")
	encoded, err := json.Marshal(struct{ K webhook.Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %x %q", k, k, k, struct{ K webhook.Key }{k}), string(encoded)} {
		if !strings.Contains(s, "[redacted]") || strings.Contains(s, "Abcd") || strings.Contains(s, "69b71d") {
			t.Errorf("printed as %s", s)
		}
	}
	if k.Text() != "whsec_"+strings.Repeat("Abcd", 8) {
		t.Error("Text does not give the secret back")
	}
}

package incidents_test

import (
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// TestCures: each refusal has a cure in the reader's language, by Google's reason where it is known.
func TestCures(t *testing.T) {
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		refusal    store.Refusal
		en, uk, ru string
	}{
		{store.Refusal{At: store.AtToken, Status: 401, Reason: "deleted_client"}, "Restore it", "Відновіть", "Восстановите"},
		{store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}, "Enable it there", "Увімкніть його там", "Включите его там"},
		{store.Refusal{At: store.AtAPI, Status: 403, Reason: "SERVICE_DISABLED"}, "Enable it there", "Увімкніть його там", "Включите его там"},
		{store.Refusal{At: store.AtToken, Status: 400, Reason: "made_up"}, "Look the code up", "Знайдіть цей код", "Найдите этот код"},
		{store.Refusal{At: "events.insert", Status: 400, Reason: "invalid"}, "first suspect", "Насамперед", "Прежде всего"},
		{store.Refusal{At: "acl.insert", Status: 403}, "Look the reason up", "Знайдіть цю причину", "Найдите эту причину"},
	} {
		for lang, want := range map[string]string{"en": row.en, "uk": row.uk, "ru": row.ru} {
			if got := incidents.Cure(texts.For(lang), row.refusal); !strings.Contains(got, want) {
				t.Errorf("%s, %+v: %q lacks %q", lang, row.refusal, got, want)
			}
		}
	}
}

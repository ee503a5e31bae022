package deployment

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// Notification is a signed POST to Notify, as the ERP's connector makes it. kind is
// one such as "task.changed".
func Notification(secret, kind string, ids ...int64) (body []byte, header http.Header, err error) {
	key, err := webhook.ParseKey(secret)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	body, err = json.Marshal(map[string]any{"type": kind, "timestamp": now.UTC().Format(time.RFC3339), "data": map[string]any{"ids": ids}})
	if err != nil {
		return nil, nil, err
	}
	if header, err = webhook.Sign(key, "msg_"+uuid.NewString(), now, body); err != nil {
		return nil, nil, err
	}
	header.Set("Content-Type", "application/json")
	return body, header, nil
}

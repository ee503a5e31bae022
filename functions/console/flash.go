package console

import (
	"net/url"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// flash says once, above a page, what came of an action. The address holds a fixed word and an
// id, or how many (see outcomes); a word that is not known says nothing.
func flash(t i18n.Texts, q url.Values) *notice {
	word := q.Get("queued")
	if c := q.Get("connected"); c != "" {
		word = "connected-" + c
	}
	if word == "" || !t.Has("flash."+word+".title") {
		return nil
	}
	id, _ := strconv.ParseInt(q.Get("id"), 10, 64)
	level := "good"
	switch word {
	case "connected-unqueued", "purge", "stopped", "uncounted":
		level = "warn"
	}
	return &notice{Level: level, Title: t.T("flash."+word+".title", "ID", id, "N", int(id)), Text: t.T("flash." + word + ".text")}
}

package storetest

import (
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// shutOut, alike and noToken are refusals of the whole API, of one method, and of the
// token endpoint.
func shutOut() store.Refusal {
	return store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}
}

func alike() store.Refusal {
	return store.Refusal{At: "events.insert", Status: 400, Reason: "invalid"}
}

func noToken() store.Refusal {
	return store.Refusal{At: store.AtToken, Status: 401, Reason: "deleted_client"}
}

// opened checks the open incident, nil for none.
func (r *rig) opened(what string, want *store.IncidentRecord) {
	r.Helper()
	equal(r, what, r.account().Incident, want)
}

// probe asks to be let through while an incident is open.
func (r *rig) probe(granted bool) {
	r.Helper()
	got, open, err := r.s.ProbeIncident(r.ctx, "a", time.Minute)
	r.must(err)
	equal(r, "let through", got, granted)
	equal(r, "open", open, true)
}

func incidentOfTheAccount(r *rig) {
	r.connected("a", "client", false)
	r.unchanged("nothing is wrong", func() {
		r.must(r.s.EndIncident(r.ctx, "a", "events.insert"))
		granted, open, err := r.s.ProbeIncident(r.ctx, "a", time.Minute)
		r.must(err)
		equal(r, "let through or open", granted || open, false)
	})
	r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
	want := store.IncidentRecord{Refusal: shutOut(), Since: r.began, ProbedAt: r.began}
	r.opened("raised", &want)
	r.b.advance(time.Second)
	r.unchanged("raised again, and one that is narrower", func() {
		r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
		r.must(r.s.RaiseIncident(r.ctx, "a", alike()))
		r.must(r.s.EndIncident(r.ctx, "a", store.AtToken))
		r.probe(false)
	})
	r.b.advance(time.Minute)
	r.probe(true)
	want.ProbedAt = r.b.now()
	r.opened("probed", &want)
	r.unchanged("probed a moment later", func() { r.probe(false) })

	want.Reason = "notACalendarUser"
	r.must(r.s.RaiseIncident(r.ctx, "a", want.Refusal))
	r.opened("another reason: the same incident", &want)
	r.must(r.s.RaiseIncident(r.ctx, "a", noToken()))
	r.opened("no tokens at all", &store.IncidentRecord{Refusal: noToken(), Since: r.b.now(), ProbedAt: r.b.now()})
	r.unchanged("a call with an old token", func() { r.must(r.s.EndIncident(r.ctx, "a", "events.list")) })
	r.must(r.s.GrantWorks(r.ctx, "a", 1))
	r.opened("tokens again", nil)

	r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
	want = store.IncidentRecord{Refusal: shutOut(), Since: r.b.now()}
	r.connected("a", "client", true)
	r.opened("connected again: asked at once", &want)
	r.must(r.s.EndIncident(r.ctx, "a", "acl.list"))
	r.opened("any call that succeeds", nil)
	r.must(r.s.RaiseIncident(r.ctx, "a", noToken()))
	r.connected("a", "client", true)
	r.opened("connected by the token endpoint", nil)

	zone := store.Refusal{At: store.AtZone, Status: 400, Reason: "invalidTimeZone"}
	r.must(r.s.RaiseIncident(r.ctx, "a", alike()))
	r.must(r.s.RaiseIncident(r.ctx, "a", zone))
	want = store.IncidentRecord{Refusal: zone, Since: r.b.now(), ProbedAt: r.b.now()}
	r.opened("the zone, wider than one method", &want)
	r.unchanged("writes that name no zone", func() { r.must(r.s.EndIncident(r.ctx, "a", "events.insert")) })
	r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
	r.opened("the whole API, wider than the zone", &store.IncidentRecord{Refusal: shutOut(), Since: r.b.now(), ProbedAt: r.b.now()})
	r.must(r.s.EndIncident(r.ctx, "a", store.AtZone))
	r.opened("the zone was taken", nil)
}

// suspects notes refusals of keys that open no incident.
func (r *rig) suspects(refusal store.Refusal, afresh, opens bool, keys ...string) {
	r.Helper()
	for i, key := range keys {
		opened, err := r.s.SuspectIncident(r.ctx, "a", refusal, key, afresh && i == 0)
		r.must(err)
		equal(r, "opened by "+key, opened, opens && i == len(keys)-1)
	}
}

func refusalsThatAgree(r *rig) {
	r.connected("a", "client", false)
	r.suspects(alike(), false, false, "c1/1", "c1/2", "c1/3", "c2/4")
	r.unchanged("the same keys again", func() { r.suspects(alike(), false, false, "c1/1", "c2/4") })
	other := alike()
	other.Reason = "forbidden"
	r.suspects(other, false, false, "c3/5")
	r.suspects(alike(), true, false, "c3/5") // a call has succeeded: counted afresh
	r.must(r.s.EndIncident(r.ctx, "a", "events.insert"))
	equal(r, "suspected after a success", len(r.account().Suspected), 0)

	r.suspects(alike(), false, false, "c1/1", "c1/2", "c1/3", "c2/4")
	r.b.advance(10*time.Minute + time.Second)
	r.suspects(alike(), false, false, "c3/5")
	since := r.b.now()
	r.suspects(alike(), false, false, "c3/6", "c3/7", "c3/8", "c3/9")
	r.unchanged("more of one calendar", func() { r.suspects(alike(), false, false, "c3/10", "c3/11") })
	r.must(r.s.EndIncident(r.ctx, "a", "events.update"))
	r.suspects(alike(), false, true, "c4/1")
	r.opened("of two calendars", &store.IncidentRecord{Refusal: alike(), Since: since, ProbedAt: r.b.now()})
	r.unchanged("another method", func() { r.must(r.s.EndIncident(r.ctx, "a", "events.update")) })
	also := alike()
	also.At = "calendars.insert"
	for range 2 {
		r.must(r.s.RaiseIncident(r.ctx, "a", also))
		r.opened("the same at another method", &store.IncidentRecord{Refusal: alike(), Also: []string{"calendars.insert"}, Since: since, ProbedAt: r.b.now()})
	}
	r.must(r.s.EndIncident(r.ctx, "a", "calendars.insert"))
	equal(r, "where it is over", len(r.account().Incident.Also), 0)
	opened, err := r.s.SuspectIncident(r.ctx, "a", alike(), "c9/9", false)
	r.must(err)
	equal(r, "a further key", opened, true)
	r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
	equal(r, "a wider one replaces it", r.account().Incident.Refusal, shutOut())
}

func unknownRefusal(r *rig) {
	r.connected("a", "client", false)
	odd := store.Refusal{At: store.AtToken, Status: 400, Reason: "odd_code"}
	suspect := func(opens bool) {
		r.Helper()
		opened, err := r.s.SuspectToken(r.ctx, "a", odd, 30*time.Second)
		r.must(err)
		equal(r, "opened", opened, opens)
	}
	suspect(false)
	r.b.advance(30*time.Second - time.Microsecond)
	r.unchanged("too soon to be a repeat", func() { suspect(false) })
	r.must(r.s.GrantWorks(r.ctx, "a", 1))
	equal(r, "suspected when it works", len(r.account().Suspected), 0)
	r.b.advance(time.Hour)
	suspect(false)
	since := r.b.now()
	r.b.advance(30 * time.Second)
	suspect(true)
	r.opened("repeated", &store.IncidentRecord{Refusal: odd, Since: since, ProbedAt: r.b.now()})
	r.unchanged("again", func() { suspect(true) })
}

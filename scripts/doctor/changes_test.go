package main

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The ways to bring a world's state out of order.

func (r *world) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *world) save(json string) { r.must(r.store.SaveSettings(r.t.Context(), json, "test", 0)) }

func (r *world) disconnect() {
	for range 2 { // the first only makes it suspect
		_, err := r.store.GrantRefused(r.t.Context(), sub, 1, "invalid_grant", 0)
		r.must(err)
	}
}

func (r *world) pause(reason string) {
	_, err := r.store.PauseWrites(r.t.Context(), sub, reason)
	r.must(err)
	_, err = r.store.PauseCreations(r.t.Context(), sub, reason)
	r.must(err)
}

func (r *world) incident() {
	r.must(r.store.RaiseIncident(r.t.Context(), sub, store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}))
}

func (r *world) foreignCalendar() {
	ctx := r.t.Context()
	gateway, err := googlecalendar.New(ctx, r.google.Client(markedAccount, googlecalendar.Scopes()...), r.url+"/google/calendar/v3/", unpaced{}, func(context.Context) (string, error) { return sub, nil })
	r.must(err)
	_, err = gateway.CreateCalendar(ctx, "Marker", "Europe/Kyiv", calendarsync.CalendarMark{Tenant: "another", Employee: 5, Epoch: "e", From: time.Now()})
	r.must(err)
	r.google.ResetRequests()
}

func (r *world) oldSignIn() {
	_, err := r.store.FinishSignIn(r.t.Context(), "old", -5*24*time.Hour)
	r.must(err)
}

// pollLongAgo lets the doctor look an hour after a poll.
func (r *world) pollLongAgo() {
	r.must(r.store.SaveTaskPoll(r.t.Context(), store.TaskPollRecord{}))
	r.wrapDatabase(func(b store.Backend) store.Backend { return hourLater{b} })
}

func (r *world) wrapDatabase(wrap func(store.Backend) store.Backend) {
	open := r.with.database
	r.with.database = func(ctx context.Context, cfg config.Store) (store.Backend, error) {
		b, err := open(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return wrap(b), nil
	}
}

// hourLater shows what Poll remembers as of an hour before.
type hourLater struct{ store.Backend }

func (b hourLater) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	found, err := b.Backend.Get(ctx, ref, into)
	if rec, is := into.(*store.TaskPollRecord); is && found {
		rec.RanAt = rec.RanAt.Add(-time.Hour)
	}
	return found, err
}

// deadDatabase fails every read with a gRPC code's name, as store/firestore does.
type deadDatabase struct {
	store.Backend
	reason string
}

func (b deadDatabase) Now(context.Context) (time.Time, error) { return time.Time{}, refused(b.reason) }
func (deadDatabase) Close() error                             { return nil }

// unindexed is a Firestore in which tasks.held was exempted from indexing.
type unindexed struct{ store.Backend }

func (b unindexed) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	if q.Collection == store.Tasks && q.Field == "held" {
		return nil, refused("FailedPrecondition")
	}
	return b.Backend.Query(ctx, q)
}

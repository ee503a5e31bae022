package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	loginCure = "Run “gcloud auth application-default login” (README of terraform/), then the doctor again."
	// storeTime bounds the checks of the project's services.
	storeTime = 10 * time.Second
	// overdue is how long after their expiry documents may stay: Firestore's TTL
	// deletes within about a day (shared/googlecalendar/README.md).
	overdue = 3 * 24 * time.Hour
	// pollLate is when three runs of Poll, every five minutes, are missing.
	pollLate = 20 * time.Minute
)

func (d *doctor) cloudChecks() []check {
	topic := func(id, title, variable string, name func() string) check {
		return check{ID: id, Group: groupCloud, Title: title, Needs: []string{"env.project", "env.topics"}, Within: storeTime,
			Run: func(ctx context.Context) verdict { return d.checkTopic(ctx, variable, name()) }}
	}
	return []check{
		{ID: "cloud.firestore", Group: groupCloud, Title: "Firestore", Needs: []string{"env.project"}, Within: storeTime, Run: d.checkFirestore},
		{ID: "cloud.indexes", Group: groupCloud, Title: "indexes", Needs: []string{"cloud.firestore"}, Within: storeTime, Run: d.checkIndexes},
		{ID: "cloud.ttl", Group: groupCloud, Title: "expiry (TTL)", Needs: []string{"cloud.firestore"}, Within: storeTime, Run: d.checkTTL},
		{ID: "cloud.poll", Group: groupCloud, Title: "last poll", Needs: []string{"cloud.firestore"}, Within: storeTime, Run: d.checkPoll},
		topic("cloud.task_topic", "topic for tasks", "TASK_TOPIC", func() string { return d.env.topics.Task }),
		topic("cloud.employee_topic", "topic for employees", "EMPLOYEE_TOPIC", func() string { return d.env.topics.Employee }),
		{ID: "cloud.key", Group: groupCloud, Title: "encryption key", Needs: []string{"env.token"}, Within: storeTime, Run: d.checkKey},
	}
}

// errReadOnly is what an attempt to write ends with: the doctor changes nothing.
var errReadOnly = errors.New("the doctor writes nothing")

// readOnly makes sure that no part of the product that is used here can write.
type readOnly struct{ store.Backend }

func (readOnly) Transact(context.Context, func(store.Tx) error) error { return errReadOnly }

// denied is the verdict on a service that did not let the caller look. It cannot
// tell a caller without rights from an API that is off.
func denied(service, api, role string) verdict {
	return notChecked("If you should have the right: grant yourself "+role+" on the project.\nIf the API is off: gcloud services enable "+api,
		"%s did not let you look: you lack the right, or its API is not enabled", service)
}

func (d *doctor) unreachable(service string, err error) verdict {
	why, cure := checkup.Unreached(d.Texts, err)
	return bad(cure, "%s could not be reached: %s (%s)", service, why, checkup.KindWords(err))
}

func (d *doctor) checkFirestore(ctx context.Context) verdict {
	backend, err := d.database(ctx, d.env.store)
	if err != nil {
		return notChecked(loginCure, "no Firestore client could be made: there are no Google Cloud credentials on this machine")
	}
	d.closeLater(backend.Close)
	at, err := backend.Now(ctx)
	if err != nil {
		switch reasonOf(err) {
		case "NotFound":
			return bad("Create it with Terraform (./scripts/deploy), or set FIRESTORE_DATABASE and GOOGLE_CLOUD_PROJECT to those that exist.",
				"project %s has no Firestore database %s", d.env.store.Project, d.env.store.Database)
		case "FailedPrecondition":
			return bad("Create a database in native mode; the functions cannot use one in Datastore mode.",
				"database %s is not in Firestore's native mode", d.env.store.Database)
		case "PermissionDenied", "Unauthenticated":
			return denied("Firestore", "firestore.googleapis.com", "roles/datastore.viewer")
		}
		return d.unreachable("Firestore", err)
	}
	d.backend = readOnly{backend}
	d.state = store.New(d.backend)
	v := ok("database %s of project %s answers", d.env.store.Database, d.env.store.Project)
	if apart := d.now().Sub(at).Abs(); apart > time.Minute {
		v = warn("Set this machine's clock (NTP). It does not matter to the functions, which go by Firestore's.",
			"the database answers; this machine's clock is %s off Firestore's, so times below are inexact", duration(apart))
	}
	return v
}

// checkIndexes runs each kind of query that the functions run, for one document.
func (d *doctor) checkIndexes(ctx context.Context) verdict {
	var missing []string
	n := 0
	indexed := store.Indexed()
	for _, c := range slices.Sorted(maps.Keys(indexed)) {
		for _, field := range indexed[c] {
			n++
			q := store.Query{Collection: c, Field: field, Op: store.Exists, Limit: 1}
			_, err := d.backend.Query(ctx, q)
			switch {
			case err == nil:
			case reasonOf(err) == "FailedPrecondition":
				missing = append(missing, string(c)+"."+field)
			default:
				return bad("Run the doctor again.", "a query failed (%s)", checkup.KindWords(err))
			}
		}
	}
	if len(missing) > 0 {
		v := bad("Remove the exemptions from single-field indexing: terraform/firestore.tf makes only those that are wanted.",
			"%s not indexed, so the functions' queries fail", verb(len(missing), "1 field is", "fields are"))
		v.Details = missing
		return v
	}
	return ok("each of the %d fields that the functions search by can be searched", n)
}

func (d *doctor) checkTTL(ctx context.Context) verdict {
	for _, c := range []store.Collection{store.SignIns, store.Tickets, store.Sessions} {
		left, err := d.backend.Query(ctx, store.Query{Collection: c, Field: "expires_at", Op: store.AtMost, Value: d.now().Add(-overdue), Limit: 1})
		if err != nil {
			return bad("Run the doctor again.", "%s could not be searched (%s)", c, checkup.KindWords(err))
		}
		if len(left) > 0 {
			return warn("Apply Terraform again: terraform/firestore.tf sets the TTL policies. Nothing is wrong but that the database grows.",
				"%s holds what expired more than three days ago, so its TTL policy is not in force", c)
		}
	}
	return ok("nothing is kept past its time (as far as sign-ins, tickets and sessions show)")
}

func (d *doctor) checkPoll(ctx context.Context) verdict {
	rec, found, err := d.state.TaskPoll(ctx)
	switch {
	case err != nil:
		return bad("Run the doctor again.", "what Poll remembers could not be read (%s)", checkup.KindWords(err))
	case !found || rec.RanAt.IsZero():
		return ok("Poll has not run yet; Cloud Scheduler calls it every 5 minutes once all is deployed")
	}
	ago := d.now().Sub(rec.RanAt)
	if ago > pollLate {
		return warn("Look at the Cloud Scheduler job and at the log of the function Poll.",
			"Poll last ran %s ago instead of every 5 minutes: lost notifications are not found", duration(ago))
	}
	return ok("%s ago", duration(ago))
}

func (d *doctor) checkTopic(ctx context.Context, variable, name string) verdict {
	topics, err := d.topics(ctx, d.env.store.Project)
	if err != nil {
		return notChecked(loginCure, "no Pub/Sub client could be made: there are no Google Cloud credentials on this machine")
	}
	d.closeLater(topics.Close)
	err = topics.TopicExists(ctx, name)
	switch {
	case err == nil:
		return ok("%s is there", name)
	case reasonOf(err) == "NotFound":
		return bad("Create it with Terraform (./scripts/deploy), or set "+variable+" to the topic that exists.", "project %s has no topic %s", d.env.store.Project, name)
	case reasonOf(err) == "PermissionDenied", reasonOf(err) == "Unauthenticated":
		return denied("Pub/Sub", "pubsub.googleapis.com", "roles/pubsub.viewer")
	}
	return d.unreachable("Pub/Sub", err)
}

// checkKey encrypts a random probe and decrypts it again, which changes nothing.
func (d *doctor) checkKey(ctx context.Context) verdict {
	cipher, err := d.cipher(ctx, d.env.token)
	if err != nil {
		return notChecked(loginCure, "no KMS client could be made: there are no Google Cloud credentials on this machine")
	}
	if c, closes := cipher.(interface{ Close() error }); closes {
		d.closeLater(c.Close)
	}
	// What opens the grant needs no right to encrypt.
	d.sealer = cipher
	probe, place := []byte("doctor "+rand.Text()), seal.Additional("doctor", "probe")
	sealed, err := cipher.Seal(ctx, probe, place)
	if err != nil {
		return d.keyTrouble(err, "encrypt", "roles/cloudkms.cryptoKeyEncrypterDecrypter")
	}
	opened, err := cipher.Open(ctx, sealed, place)
	switch {
	case err != nil:
		return d.keyTrouble(err, "decrypt", "roles/cloudkms.cryptoKeyDecrypter")
	case !bytes.Equal(opened, probe):
		return bad("Do not connect an account with this key; report this.", "what the key encrypts is not what it decrypts")
	}
	if _, local := d.env.token.Local(); local {
		return ok("the local key encrypts and decrypts")
	}
	return ok("the KMS key encrypts and decrypts for you; the functions have their own rights")
}

func (d *doctor) keyTrouble(err error, what, role string) verdict {
	switch reasonOf(err) {
	case "NotFound":
		return bad("Set TOKEN_KEY to the key's full name (terraform output names it).", "the KMS key of TOKEN_KEY does not exist")
	case "FailedPrecondition":
		return bad("Enable the key's primary version again in Cloud KMS. If it was destroyed, connect the account again with a new key.",
			"the KMS key of TOKEN_KEY is disabled or scheduled for destruction")
	case "PermissionDenied", "Unauthenticated":
		v := denied("Cloud KMS", "cloudkms.googleapis.com", role+" for as long as you look")
		v.Text = "Cloud KMS did not let you " + what + ": you lack the right (project owners do not have it by themselves), or its API is not enabled"
		return v
	}
	if errors.Is(err, seal.ErrOpen) {
		return bad("Do not connect an account with this key; report this.", "what the key encrypts it cannot decrypt")
	}
	if failure.Is(err, failure.RateLimited) {
		return notChecked("Run the doctor again in a minute.", "Cloud KMS has had too many requests")
	}
	return d.unreachable("the encryption key", err)
}

// duration tells a time span as people do.
func duration(t time.Duration) string {
	switch t = t.Abs(); {
	case t < 2*time.Minute:
		return t.Round(time.Second).String()
	case t < 2*time.Hour:
		return itoa(int(t.Minutes())) + " minutes"
	case t < 48*time.Hour:
		return itoa(int(t.Hours())) + " hours"
	}
	return itoa(int(t.Hours()/24)) + " days"
}

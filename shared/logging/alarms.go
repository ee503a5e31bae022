package logging

import (
	"context"
	"log/slog"
)

// The fields of an alarm, read by Terraform's alert policies.
const (
	KeyAlarm    = "alarm"
	KeyIncident = "incident"
	// KeyEnded is true on the entry that ends an incident, and absent before.
	KeyEnded = "ended"
)

// AlarmKind names what an alarm is about. terraform/alerts.tf has an alert for each.
type AlarmKind string

// The kinds of alarms (rule 7.4).
const (
	// GrantRevoked: Google refuses the central account's grant.
	GrantRevoked AlarmKind = "grant-revoked"
	// GrantExpiring: that grant ends within two days.
	GrantExpiring AlarmKind = "grant-expiring"
	// ClientRefused: Google refuses the OAuth client's id or secret.
	ClientRefused AlarmKind = "client-refused"
	// AccountRefused: Google refuses the whole account, for another reason than those above.
	AccountRefused AlarmKind = "account-refused"
	// MarkUnreadable: Google does not give back what the product knows its own by.
	MarkUnreadable AlarmKind = "mark-unreadable"
	// DeletionsHeld: the delete guard holds deletions for an admin to decide.
	DeletionsHeld AlarmKind = "deletions-held"
	// TakeoverNeeded: calendars were found that no database remembers; an admin has to decide.
	TakeoverNeeded AlarmKind = "takeover-needed"
	// ClockWrong: the ERP's clock is not that of the setting time_zone.
	ClockWrong AlarmKind = "clock-wrong"
	// QuotaExhausted: Google has paused writing.
	QuotaExhausted AlarmKind = "quota-exhausted"
	// FullRunMissed: no full run has passed over everybody for more than 25 hours.
	FullRunMissed AlarmKind = "full-run-missed"
	// ERPUnreadable: for an hour something of the ERP could not be read.
	ERPUnreadable AlarmKind = "erp-unreadable"
	// NoNotifications: the poll finds changes, and no notification comes.
	NoNotifications AlarmKind = "no-notifications"
	// CardsRefused: the ERP takes nobody's calendar id.
	CardsRefused AlarmKind = "cards-refused"
	// CalendarsOutOfReach: Google keeps calendars from the client, though they exist.
	CalendarsOutOfReach AlarmKind = "calendars-out-of-reach"
	// DeadLetterUnreadable: a dead letter points to no key, or is a full run.
	DeadLetterUnreadable AlarmKind = "dead-letter-unreadable"
)

// Alarm writes the one entry that begins an incident of a kind (rule 7.4).
// The caller sees to it that an incident is told once. attrs are as for
// slog.Logger.Log.
func Alarm(ctx context.Context, l *slog.Logger, kind AlarmKind, incident, msg string, attrs ...any) {
	l.ErrorContext(ctx, msg, append([]any{KeyAlarm, string(kind), KeyIncident, incident}, attrs...)...) //nolint:sloglint // the caller's message is constant
}

// AlarmEnded writes the one entry that ends it.
func AlarmEnded(ctx context.Context, l *slog.Logger, kind AlarmKind, incident, msg string, attrs ...any) {
	l.ErrorContext(ctx, msg, append([]any{KeyAlarm, string(kind), KeyIncident, incident, KeyEnded, true}, attrs...)...) //nolint:sloglint // as above
}

package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/config"
)

func (d *doctor) environmentChecks() []check {
	return []check{
		group(d, "env.project", "project", &d.env.store, func() verdict {
			return ok("project %s, database %s", d.env.store.Project, d.env.store.Database)
		}),
		group(d, "env.erp", "ERP", &d.env.erp, func() verdict { return ok("%s, with a key", d.env.erp.URL) }),
		group(d, "env.client", "OAuth client", &d.env.client, func() verdict { return ok("an id and a secret are set") }),
		group(d, "env.sites", "public addresses", &d.env.sites, func() verdict {
			return ok("OAuth at %s, console at %s", d.env.sites.OAuthURL, d.env.sites.ConsoleURL)
		}),
		group(d, "env.admins", "admins, account", &d.env.admins, d.judgeAdmins),
		group(d, "env.session", "session key", new(config.SessionKey), func() verdict { return ok("32 bytes") }),
		group(d, "env.notify", "webhook secrets", new(config.NotifySecrets), func() verdict { return ok("well-formed") }),
		group(d, "env.token", "token key", &d.env.token, d.judgeTokenKey, "env.sites"),
		group(d, "env.topics", "topics", &d.env.topics, func() verdict {
			return ok("%s and %s", d.env.topics.Task, d.env.topics.Employee)
		}),
		group(d, "env.budget", "budget", &d.env.budget, func() verdict {
			b := d.env.budget
			return ok("%d requests a minute, %d new calendars an hour and %d a day, %d shares a day", b.RequestsPerMinute, b.CalendarsPerHour, b.CalendarsPerDay, b.SharesPerDay)
		}),
		group(d, "env.waits", "waits", new(config.Waits), func() verdict { return ok("in range") }),
		group(d, "env.google", "Google's addresses", &d.env.google, d.judgeGoogle),
		group(d, "env.defaults", "default settings", &d.env.defaults, func() verdict {
			if d.env.defaults.JSON == "" {
				return ok("none: the settings come from the console")
			}
			return ok("DEFAULT_SETTINGS is well-formed")
		}),
	}
}

// group checks one group of variables by itself, so that a fault of one stops only
// what needs it; config.Load of everything would give nothing at all.
func group[T any](d *doctor, id, title string, into *T, judge func() verdict, after ...string) check {
	return check{ID: id, Group: groupEnvironment, Title: title, After: after, Run: func(ctx context.Context) verdict {
		values, err := config.Load[T](ctx, d.lookup)
		if err != nil {
			return environmentFaults(err)
		}
		*into = values
		return judge()
	}}
}

func environmentFaults(err error) verdict {
	faults, known := errors.AsType[*config.Faults](err)
	if !known {
		return bad("Report this: it is a fault of the doctor.", "the variables could not be read")
	}
	var names, lines []string
	for _, f := range faults.List {
		names = append(names, f.Variable)
		problem := f.Problem
		if f.Variable == "ADMIN_EMAILS" && strings.Contains(problem, `"`) {
			problem = "holds something that is not an e-mail address" // without quoting it
		}
		lines = append(lines, f.Variable+" "+problem)
	}
	v := bad("Set "+strings.Join(names, " and ")+" as the README says under Configuration; a deployed function has its variables from Terraform.",
		"%s missing or wrong", verb(len(names), "1 variable is", "variables are"))
	v.Details = lines
	return v
}

func (d *doctor) judgeAdmins() verdict {
	a := d.env.admins
	v := ok("%s may sign in; the account to connect is set", plural(len(a.Emails), "admin", "admins"))
	v.Data = map[string]any{"admins": len(a.Emails)}
	if slices.Contains(a.Emails, a.IntegrationAccount) {
		return warn("Give the calendars an account of their own (INTEGRATION_ACCOUNT): it owns every employee's calendar, and what a person does in it by hand shows up there.",
			"the account to connect is also an admin's")
	}
	return v
}

func (d *doctor) judgeTokenKey() verdict {
	if _, local := d.env.token.Local(); !local {
		return ok("a key of Cloud KMS")
	}
	if strings.HasPrefix(d.env.sites.OAuthURL, "https://") {
		return warn("For the deployed functions name the KMS key (Terraform does): they refuse a local one.",
			"a local key, with a public OAUTH_URL")
	}
	return ok("a local key, which only a run outside the cloud may use")
}

func (d *doctor) judgeGoogle() verdict {
	const own = "https://accounts.google.com"
	switch g := d.env.google; {
	case g.Issuer == own && strings.HasPrefix(g.CalendarEndpoint, "https://www.googleapis.com/"):
		return ok("Google's own")
	case g.Issuer == own || strings.HasPrefix(g.CalendarEndpoint, "https://www.googleapis.com/"):
		return bad("Leave GOOGLE_ISSUER and CALENDAR_ENDPOINT both unset, unless this is a test.",
			"one of GOOGLE_ISSUER and CALENDAR_ENDPOINT is Google's own and the other is not, so no token fits")
	default:
		return ok("a stand-in at %s", g.Issuer)
	}
}

// verb puts a number before the right form: "1 variable is", "3 variables are".
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return itoa(n) + " " + many
}

package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
)

// checkupTime bounds the doctor's checks on a page: what has not answered by then is said not
// to have.
const checkupTime = 20 * time.Second

// checkupView is what the doctor found, by group, and as text to copy.
type checkupView struct {
	Level, Title string
	Groups       []checkupGroup
	Text         string
}

type checkupGroup struct {
	Name     string
	Findings []checkupFinding
}

// checkupFinding is one check with what became of it; Level is as everywhere, and Mark its word.
type checkupFinding struct {
	Level, Mark, Title, Text string
	Cure, Details            []string
}

// runCheckup has the doctor look now, and shows what it found.
func (h *handler) runCheckup(w http.ResponseWriter, r *http.Request, s signin.Session) {
	noteNothing(r) // it only looks
	h.connections(w, r, s, examined)
}

// checkup runs the doctor's checks, but for those that ask Google, which only the command makes.
func (h *handler) checkup(ctx context.Context, c locale) *checkupView {
	ctx, cancel := context.WithTimeout(ctx, checkupTime)
	defer cancel()
	said := func(text string) func() string { return func() string { return text } }
	subject := &checkup.Subject{
		Texts: c.Texts, Now: h.Now, Connect: h.Examined,
		ERPURL: said(h.cfg.ERPURL), KeyInQuery: func() bool { return h.cfg.ERPKeyInQuery },
		Saved: func(ctx context.Context) (settings.Saved, bool, error) {
			saved, err := h.Settings.Saved(ctx)
			return saved, true, err
		},
		Accounts: func() checkup.Account { return h.Store },
		Expected: said(h.cfg.IntegrationAccount), Client: said(""), Console: said(h.console.URL("/connections", nil)), RedirectURI: said(h.oauth.URL("/callback", nil)),
	}
	return checkupOf(c, checkup.Run(ctx, subject.Checks(), c.Texts, h.Now))
}

// checkupOf puts findings in groups.
func checkupOf(c locale, found []checkup.Finding) *checkupView {
	v := &checkupView{}
	counts := map[checkup.State]int{}
	for _, f := range found {
		counts[f.State]++
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Name != f.Group {
			v.Groups = append(v.Groups, checkupGroup{Name: f.Group})
		}
		one := checkupFinding{Level: checkupLevel(f.State), Mark: c.T("doctor.state." + string(f.State)), Title: f.Title, Text: f.Text, Details: f.Details}
		if f.Cure != "" {
			one.Cure = strings.Split(f.Cure, "\n")
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Findings = append(g.Findings, one)
	}
	switch faults, warnings := counts[checkup.Fault], counts[checkup.Warning]; {
	case faults > 0:
		v.Level, v.Title = "bad", c.N("connections.doctor.faults", faults)
	case warnings > 0:
		v.Level, v.Title = "warn", c.N("connections.doctor.warnings", warnings)
	default:
		v.Level, v.Title = "good", c.T("connections.doctor.fine")
	}
	v.Text = v.text(c)
	return v
}

func checkupLevel(s checkup.State) string {
	switch s {
	case checkup.OK:
		return "good"
	case checkup.Warning:
		return "warn"
	case checkup.Fault:
		return "bad"
	}
	return "wait"
}

// text is what was found as lines, for whoever helps.
func (v *checkupView) text(c locale) string {
	var b strings.Builder
	b.WriteString(c.moment(c.now) + "\n")
	for _, g := range v.Groups {
		b.WriteString("\n" + g.Name + "\n")
		for _, f := range g.Findings {
			b.WriteString("  [" + f.Mark + "] " + f.Title + ": " + f.Text + "\n")
			for _, line := range f.Details {
				b.WriteString("      · " + line + "\n")
			}
			for _, line := range f.Cure {
				b.WriteString("      → " + line + "\n")
			}
		}
	}
	return b.String()
}

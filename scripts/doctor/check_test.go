package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

func TestInterrupted(t *testing.T) {
	r := newWorld(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, nil, &out, &errs, r.with); code != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit status %d, %q, %q", code, out.String(), errs.String())
	}
}

// TestHowGoogleTellsOfARedirectURI holds the forms in which an authorization
// endpoint is known to answer; the stand-in has only two of them.
func TestHowGoogleTellsOfARedirectURI(t *testing.T) {
	const uri = "https://region-project.cloudfunctions.net/oauth/callback"
	coded := func(code string) string {
		return "/signin/oauth/error?flowName=GeneralOAuthFlow&authError=" + base64.URLEncoding.EncodeToString([]byte("\n\x15"+code+"\x12\x10more of it?>~"))
	}
	for _, c := range []struct {
		name, location string
		status         int
		body           string
		want           state
		says           string
	}{
		{"comes back", uri + "?error=interaction_required&state=x", 302, "", isOK, "come back"},
		{"comes back elsewhere", uri + "2?error=x", 302, "", isOK, "sign-in page"},
		{"goes on to the sign-in", "/v3/signin/identifier?continue=x", 302, "", isOK, "sign-in page"},
		{"an error in base64", coded("redirect_uri_mismatch"), 302, "", fault, "redirect_uri_mismatch"},
		{"an error page", "", 400, "<p>Error 400: redirect_uri_mismatch</p>", fault, "redirect_uri_mismatch"},
		{"an unknown client", coded("invalid_client"), 302, "", fault, "does not know the OAuth client"},
		{"a deleted client", "", 401, "Error 401: deleted_client", fault, "deleted"},
		{"a policy", coded("admin_policy_enforced"), 302, "", warning, "policy"},
		{"something else", "", 500, "oops", unchecked, "does not tell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r
				if c.location != "" {
					w.Header().Set("Location", c.location)
				}
				w.WriteHeader(c.status)
				_, _ = fmt.Fprint(w, c.body)
			}))
			defer server.Close()
			texts, err := i18n.Load()
			if err != nil {
				t.Fatal(err)
			}
			d := newDoctor(surroundings{transport: http.DefaultTransport, now: time.Now}, texts.For(i18n.Default))
			d.env.client.ID, d.redirectURI, d.provider.Authorize = clientID, uri, server.URL+"/auth"
			v := d.checkRegistered(t.Context())
			if v.State != c.want || !strings.Contains(v.Text, c.says) {
				t.Errorf("%s: %s", v.State, v.Text)
			}
			if c.want == fault && c.says == "redirect_uri_mismatch" && !strings.Contains(v.Cure, uri) {
				t.Errorf("the cure does not name the URI: %s", v.Cure)
			}
			if q := asked.URL.Query(); asked.Method != http.MethodGet || q.Get("prompt") != "none" || q.Get("redirect_uri") != uri || q.Get("client_secret") != "" {
				t.Errorf("asked %s %v", asked.Method, q)
			}
		})
	}
}

func TestVariablesFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "functions.env")
	text := "# a comment\n\nERP_URL=https://erp.example\nexport TASK_TOPIC=\"tasks\"\nDEFAULT_SETTINGS='{\"a\": \"b=c\"}'\nEMPTY=\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := variablesOf(path)
	if err != nil {
		t.Fatal(err)
	}
	lookup := over(func(name string) (string, bool) {
		v, set := map[string]string{"TASK_TOPIC": "from-outside", "ERP_URL": " "}[name]
		return v, set
	}, file)
	for name, want := range map[string]string{"ERP_URL": "https://erp.example", "TASK_TOPIC": "from-outside", "DEFAULT_SETTINGS": `{"a": "b=c"}`, "EMPTY": ""} {
		if got, set := lookup(name); got != want || !set {
			t.Errorf("%s is %q, %v", name, got, set)
		}
	}
	if _, set := lookup("OTHER"); set {
		t.Error("a variable that is nowhere is set")
	}
	if err := os.WriteFile(path, []byte("ERP_URL=x\nMARKER without a sign\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"-env", path}, &out, &errs, surroundings{now: time.Now})
	if code != 2 || !strings.Contains(errs.String(), "line 2") || strings.Contains(errs.String(), "MARKER") {
		t.Errorf("exit status %d: %s", code, errs.String())
	}
	if code := run(t.Context(), []string{"-env", path + "x"}, &out, &errs, surroundings{now: time.Now}); code != 2 {
		t.Errorf("a file that is not there: exit status %d", code)
	}
}

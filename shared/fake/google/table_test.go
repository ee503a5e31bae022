package google

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write discovery.json anew from the discovery document of google.golang.org/api")

// rawDiscovery is the discovery document as far as the excerpt needs it.
type rawDiscovery struct {
	Revision   string                   `json:"revision"`
	Parameters map[string]*parameter    `json:"parameters"`
	Schemas    map[string]*schema       `json:"schemas"`
	Resources  map[string]*rawResources `json:"resources"`
	Auth       struct {
		OAuth2 struct {
			Scopes map[string]any `json:"scopes"`
		} `json:"oauth2"`
	} `json:"auth"`
}

type rawResources struct {
	Methods map[string]*struct {
		ID         string                `json:"id"`
		HTTPMethod string                `json:"httpMethod"`
		Path       string                `json:"path"`
		Parameters map[string]*parameter `json:"parameters"`
		Request    struct {
			Ref string `json:"$ref"`
		} `json:"request"`
		Response struct {
			Ref string `json:"$ref"`
		} `json:"response"`
		Scopes []string `json:"scopes"`
	} `json:"methods"`
}

func readDiscovery(t *testing.T) *rawDiscovery {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("finding google.golang.org/api: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "calendar", "v3", "calendar-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d rawDiscovery
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// excerpt cuts from the discovery document what the served methods need.
func excerpt(t *testing.T, d *rawDiscovery) []byte {
	t.Helper()
	out := table{Revision: d.Revision, Parameters: d.Parameters, Methods: map[string]*method{}, Schemas: map[string]*schema{}}
	for s := range d.Auth.OAuth2.Scopes {
		out.Scopes = append(out.Scopes, s)
	}
	sort.Strings(out.Scopes)
	wanted := map[string]bool{}
	for _, id := range served {
		wanted[id] = true
	}
	var keep func(name string)
	var walk func(s *schema)
	keep = func(name string) {
		if name == "" || out.Schemas[name] != nil {
			return
		}
		out.Schemas[name] = d.Schemas[name]
		walk(d.Schemas[name])
	}
	walk = func(s *schema) {
		if s == nil {
			return
		}
		keep(s.Ref)
		walk(s.Items)
		walk(s.Additional)
		for _, p := range s.Properties {
			walk(p)
		}
	}
	for _, r := range d.Resources {
		for _, m := range r.Methods {
			if !wanted[m.ID] {
				continue
			}
			out.Methods[m.ID] = &method{HTTPMethod: m.HTTPMethod, Path: m.Path, Parameters: m.Parameters,
				Request: m.Request.Ref, Response: m.Response.Ref, Scopes: m.Scopes}
			keep(m.Request.Ref)
			keep(m.Response.Ref)
		}
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestTableIsUpToDate(t *testing.T) {
	want := excerpt(t, readDiscovery(t))
	if *update {
		if err := os.WriteFile("discovery.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, discoveryJSON) {
		t.Fatal("discovery.json differs from the discovery document of google.golang.org/api: run go test -run TestTableIsUpToDate -update")
	}
}

// Package packagetest shows that what Terraform uploads can be deployed: it takes
// every function's archive from Terraform's own plan, rebuilds it as Google's Go
// buildpack does and runs the programs against Google's emulators. It must never
// reach a cloud, and never decide itself what belongs in an archive.
package packagetest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

const module = "github.com/erp-calendar/erp-calendar"

// functions are the entry points of functions/README.md and their folders.
var functions = map[string]string{
	"Notify": "notify", "OAuth": "oauth", "Console": "console", "SyncTask": "synctask",
	"SyncEmployee": "syncemployee", "Reconcile": "reconcile", "Poll": "poll", "DeadLetter": "deadletter",
}

// archive is what one archive_file of Terraform's plan holds.
type archive struct {
	address string
	files   map[string]string // contents by name, as planned
	packed  []byte            // the zip
}

// pack writes an archive as hashicorp/archive does from source blocks
// (internal/provider/zip_archiver.go, ArchiveMultiple): sorted by name, deflated,
// without times or modes. Where no registry is reachable, the offline provider only
// notes what it was given, so it is packed here.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		must(t, err)
		_, err = io.WriteString(f, files[name])
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// planned is the part of `terraform show -json` that is read here.
type planned struct {
	PriorState struct {
		Values struct {
			Root planModule `json:"root_module"`
		} `json:"values"`
	} `json:"prior_state"`
}

type planModule struct {
	Resources []struct {
		Address, Mode, Type string
		Values              json.RawMessage
	} `json:"resources"`
	Children []planModule `json:"child_modules"`
}

type archiveFile struct {
	Type       string
	OutputPath string  `json:"output_path"`
	SourceDir  *string `json:"source_dir"`
	SourceFile *string `json:"source_file"`
	Source     []struct{ Content, Filename string }
}

// terraformArchives plans the configuration of a copy of the repository, restricted
// to some archives (no other provider is configured then, so no cloud account is
// needed), and returns them by the function that each imports.
func terraformArchives(t *testing.T, root string, addresses ...string) map[string]archive {
	t.Helper()
	dir := filepath.Join(root, "terraform")
	saved := filepath.Join(root, "archives.plan")
	args := []string{"plan", "-input=false", "-no-color", "-refresh=false", "-out=" + saved}
	for _, address := range addresses {
		args = append(args, "-target="+address)
	}
	terraform(t, dir, "", args...)
	var plan planned
	must(t, json.Unmarshal(terraform(t, dir, "", "show", "-json", saved), &plan))

	found := map[string]archive{}
	modules := []planModule{plan.PriorState.Values.Root}
	for len(modules) > 0 {
		m := modules[0]
		modules = append(modules[1:], m.Children...)
		for _, r := range m.Resources {
			if r.Mode != "data" || r.Type != "archive_file" {
				continue
			}
			var file archiveFile
			must(t, json.Unmarshal(r.Values, &file))
			if file.Type != "zip" || file.SourceDir != nil || file.SourceFile != nil {
				t.Fatalf("%s is not a zip of source blocks: files of a folder would bring along their modes", r.Address)
			}
			a := archive{address: r.Address, files: map[string]string{}}
			for _, s := range file.Source {
				if _, twice := a.files[s.Filename]; twice {
					t.Errorf("%s holds %s twice", r.Address, s.Filename)
				}
				a.files[s.Filename] = s.Content
			}
			if !filepath.IsAbs(file.OutputPath) {
				file.OutputPath = filepath.Join(dir, file.OutputPath)
			}
			made, err := os.ReadFile(file.OutputPath)
			switch {
			case err == nil: // by HashiCorp's own provider
				a.packed = made
			case errors.Is(err, fs.ErrNotExist):
				a.packed = pack(t, a.files)
			default:
				t.Fatal(err)
			}
			name := a.function(t)
			if other, twice := found[name]; twice {
				t.Fatalf("%s and %s are both archives of %s", other.address, a.address, name)
			}
			found[name] = a
		}
	}
	return found
}

// allArchives plans the archives of all functions. Terraform takes six seconds for each of which
// it sees the contents, so it sees each file's name in place of them.
func allArchives(t *testing.T, names string) map[string]archive {
	t.Helper()
	for _, part := range []string{"functions", "shared"} {
		must(t, filepath.WalkDir(filepath.Join(names, part), func(file string, d fs.DirEntry, err error) error {
			// Of the JSON, which belongs into no archive, Terraform reads texts.
			if err != nil || d.IsDir() || path.Ext(file) == ".json" {
				return err
			}
			return os.WriteFile(file, []byte(file), 0o600)
		}))
	}
	found := terraformArchives(t, names, archiveAddresses(t, filepath.Join(names, "terraform"))...)
	for name := range functions {
		if _, ok := found[name]; !ok {
			t.Errorf("Terraform makes no archive of %s", name)
		}
	}
	if len(found) != len(functions) || t.Failed() {
		t.Fatalf("Terraform makes %d archives, want one for each of %d functions", len(found), len(functions))
	}
	return found
}

// withContents is an archive that was planned of names, with the repository's contents.
func (a archive) withContents(t *testing.T, root string) archive {
	t.Helper()
	whole := archive{address: a.address, files: map[string]string{}}
	for name, content := range a.files {
		if name != "function.go" {
			original, err := os.ReadFile(filepath.Join(root, name))
			must(t, err)
			content = string(original)
		}
		whole.files[name] = content
	}
	whole.packed = pack(t, whole.files)
	return whole
}

// function is the entry point whose folder the archive's root imports.
func (a archive) function(t *testing.T) string {
	t.Helper()
	var names []string
	for name, folder := range functions {
		for file, content := range a.files {
			if path.Dir(file) == "." && strings.HasSuffix(file, ".go") && strings.Contains(content, `"`+module+"/functions/"+folder+`"`) {
				names = append(names, name)
			}
		}
	}
	if len(names) != 1 {
		t.Fatalf("the root of %s imports the functions %v, want exactly one", a.address, names)
	}
	return names[0]
}

// archiveAddresses are the archive_file data sources that the configuration declares.
func archiveAddresses(t *testing.T, dir string) []string {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^data\s+"archive_file"\s+"(\w+)"`)
	sources, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	must(t, err)
	var addresses []string
	for _, source := range sources {
		text, err := os.ReadFile(source)
		must(t, err)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			addresses = append(addresses, "data.archive_file."+m[1])
		}
	}
	if len(addresses) == 0 {
		t.Fatalf("no archive_file is declared in %s", dir)
	}
	return addresses
}

// terraform runs Terraform with a value for each variable that has no default.
func terraform(t *testing.T, dir, input string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "terraform", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TF_VAR_") }), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	for name, value := range variables {
		cmd.Env = append(cmd.Env, "TF_VAR_"+name+"="+value)
	}
	var out, faults bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &faults
	if err := cmd.Run(); err != nil {
		if args[0] == "init" {
			testenv.InitTerraform(t, faults.String())
		}
		t.Fatalf("terraform %s: %v\n%s%s", strings.Join(args, " "), err, &out, &faults)
	}
	return out.Bytes()
}

// variables are the required ones; what they say has no part in the archives.
var variables = map[string]string{
	"project_id":          "packaging-test",
	"region":              "europe-west1",
	"erp_url":             "https://erp.provider.example",
	"oauth_client_id":     "123-abc.apps.googleusercontent.com",
	"integration_account": "calendars@provider.example",
	"admin_emails":        `["admin@provider.example"]`,
	"time_zone":           "Europe/Kyiv",
}

// copyRepository copies what Terraform may put into an archive, and more: what must
// stay out is there to be left out.
func copyRepository(t *testing.T, at time.Time) string {
	t.Helper()
	const root = "../.."
	to := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "functions", "shared", "scripts", "terraform"} {
		must(t, filepath.WalkDir(filepath.Join(root, part), func(from string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, from)
			if err != nil {
				return err
			}
			target := filepath.Join(to, name)
			if d.IsDir() {
				if d.Name() == ".terraform" {
					return filepath.SkipDir
				}
				return os.MkdirAll(target, 0o750)
			}
			// An installation's own files have no part in this.
			if part == "terraform" && (d.Name() == "backend.tf" || !strings.HasSuffix(name, ".tf") && !strings.HasSuffix(name, ".tftpl") && !strings.HasSuffix(name, ".json")) {
				return nil
			}
			content, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := os.WriteFile(target, content, 0o600); err != nil {
				return err
			}
			return os.Chtimes(target, at, at)
		}))
	}
	return to
}

// holdsOneFunction tells what an archive of a repository has too much or too little.
func holdsOneFunction(t *testing.T, root, name string, a archive, declared string) {
	reader, err := zip.NewReader(bytes.NewReader(a.packed), int64(len(a.packed)))
	must(t, err)
	hashes := map[string]string{}
	for _, f := range reader.File {
		switch {
		case !fs.ValidPath(f.Name):
			t.Errorf("%q is no path inside the archive", f.Name)
		case strings.HasSuffix(f.Name, "_test.go"), strings.Contains("/"+f.Name, "/testdata/"):
			t.Errorf("a test: %s", f.Name)
		case strings.HasSuffix(f.Name, ".md"):
			t.Errorf("a change of words would redeploy: %s", f.Name)
		case !slices.Contains([]string{".go", ".mod", ".sum", ".html", ".css", ".js", ".svg", ".toml"}, path.Ext(f.Name)):
			t.Errorf("neither Go nor of a kind that Go embeds: %s", f.Name)
		case inside(f.Name, "shared/fake"), inside(f.Name, "shared/simulation"), inside(f.Name, "shared/testenv"), strings.Contains("/"+f.Name, "/storetest/"):
			t.Errorf("a stand-in: %s", f.Name)
		case !inside(f.Name, "functions") && !inside(f.Name, "shared") && f.Name != "go.mod" && f.Name != "go.sum" && f.Name != "function.go":
			t.Errorf("has no business in an archive: %s", f.Name)
		}
		content, err := fs.ReadFile(reader, f.Name)
		must(t, err)
		hashes[f.Name] = fmt.Sprintf("%x", sha256.Sum256(content))
		if f.Name == "function.go" {
			continue
		}
		if original, err := os.ReadFile(filepath.Join(root, f.Name)); err != nil || !bytes.Equal(original, content) {
			t.Errorf("%s is not the repository's: %v", f.Name, err)
		}
	}
	for _, wanted := range []string{"go.mod", "go.sum", "function.go", "functions/" + functions[name] + "/function.go"} {
		if _, ok := hashes[wanted]; !ok {
			t.Errorf("lacks %s", wanted)
		}
	}
	// The hash in the object's name is what redeploys: it must cover all of the archive
	// and nothing but the archive.
	all, err := json.Marshal(hashes)
	must(t, err)
	if covered := fmt.Sprintf("%x", sha256.Sum256(all)); covered != declared {
		t.Errorf("Terraform's hash %q is not the one of names and contents, %s", declared, covered)
	}
}

func inside(name, folder string) bool { return strings.HasPrefix(name, folder+"/") }

// sameSourceSameHash compares with another checkout, at another time, in another
// folder and with more in it.
func sameSourceSameHash(t *testing.T, one string, before map[string]string) {
	two := copyRepository(t, time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	// What is no part of an archive does not change it either.
	for _, name := range []string{
		"functions/notify/more_test.go", "shared/fake/more.go", "shared/simulation/more.go", "shared/testenv/more.go", "shared/store/storetest/more.go",
		"shared/webhook/testdata/more", "shared/webhook/.more.go.swp", "scripts/more.go", "README.md",
		"functions/functions.env", "functions/console/key.json", "shared/notes.txt", "functions/oauth/dump.sql", "shared/go.mod.orig",
		"shared/MORE.md", "shared/webhook/MORE.md", "functions/MORE.md", "functions/notify/MORE.md",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(two, name)), 0o750))
		must(t, os.WriteFile(filepath.Join(two, name), []byte("package more\n"), 0o600))
	}
	shareProviders(t, one, two)
	if after := sourceHashes(t, two); !cmp.Equal(before, after) {
		t.Errorf("another hash of the same source (-first +second):\n%s", cmp.Diff(before, after))
	}
	seen := map[string]bool{}
	must(t, os.WriteFile(filepath.Join(two, "shared", "webhook", "changed.go"), []byte("package webhook\n"), 0o600))
	changed := sourceHashes(t, two)
	for name := range functions {
		if before[name] == "" || before[name] == changed[name] {
			t.Errorf("%s: hash %q before a change and %q after: it would not be deployed", name, before[name], changed[name])
		}
		if seen[before[name]] {
			t.Errorf("%s has the hash of another function", name)
		}
		seen[before[name]] = true
	}
}

// shareProviders gives a second copy of the repository the first one's providers: from the
// registry they are a hundred megabytes.
func shareProviders(t *testing.T, one, two string) {
	t.Helper()
	data := filepath.Join("terraform", ".terraform")
	must(t, os.Mkdir(filepath.Join(two, data), 0o750))
	for _, part := range []string{"providers", "modules"} {
		must(t, os.Symlink(filepath.Join(one, data, part), filepath.Join(two, data, part)))
	}
	lock, err := os.ReadFile(filepath.Join(one, "terraform", ".terraform.lock.hcl"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(two, "terraform", ".terraform.lock.hcl"), lock, 0o600))
}

// The stand-in for HashiCorp's zip must be as indifferent to time and order.
func TestAnArchiveHasNoTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	files := map[string]string{"b": "2", "a": "1"}
	first := pack(t, files)
	if !bytes.Equal(first, pack(t, map[string]string{"a": "1", "b": "2"})) {
		t.Error("two archives of the same files differ")
	}
	reader, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	must(t, err)
	for _, f := range reader.File {
		if f.ModifiedDate != 0 || f.ModifiedTime != 0 || len(f.Extra) > 0 {
			t.Errorf("%s carries a time", f.Name)
		}
	}
}

// sourceHashes are Terraform's hashes by entry point.
func sourceHashes(t *testing.T, root string) map[string]string {
	t.Helper()
	answer := terraform(t, filepath.Join(root, "terraform"), `jsonencode(module.source.hash)`, "console")
	var text string // console prints a string, which holds JSON
	must(t, json.Unmarshal(answer, &text))
	var hashes map[string]string
	must(t, json.Unmarshal([]byte(text), &hashes))
	found := map[string]string{}
	for name, folder := range functions {
		for deployed, hash := range hashes {
			if strings.ReplaceAll(deployed, "-", "") == folder {
				found[name] = hash
			}
		}
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unpack writes an archive's files into a fresh folder.
func unpack(t *testing.T, packed []byte) string {
	t.Helper()
	dir := t.TempDir()
	reader, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	for _, f := range reader.File {
		if !filepath.IsLocal(f.Name) {
			t.Fatalf("%q leads out of the archive", f.Name)
		}
		content, err := fs.ReadFile(reader, f.Name)
		must(t, err)
		target := filepath.Join(dir, f.Name)
		must(t, os.MkdirAll(filepath.Dir(target), 0o750))
		must(t, os.WriteFile(target, content, 0o600))
	}
	return dir
}

// run runs a program to its end and fails the test with what it said.
func run(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	// The checkout's own go.work, vendor or toolchain wishes are not the buildpack's.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOTOOLCHAIN=local")
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	if err := cmd.Run(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, &out, &faults))
	}
	return out.Bytes()
}

package packagetest_test

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const framework = "github.com/GoogleCloudPlatform/functions-framework-go"

// starter is what the buildpack puts beside a function that registers itself: a
// program that imports the root package for its init and serves whatever
// FUNCTION_TARGET names on PORT (GoogleCloudPlatform/buildpacks,
// cmd/go/functions_framework, template_declarative.go).
const starter = `package main

import (
	"log"
	"net/http"
	"os"

	_ "ROOT"

	"` + framework + `/funcframework"
)

func main() {
	for _, reserved := range []string{"/robots.txt", "/favicon.ico"} {
		http.HandleFunc(reserved, http.NotFound)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if err := funcframework.Start(port); err != nil {
		log.Fatal(err)
	}
}
`

// build makes an archive into a program by the steps of the Go buildpack
// (createMainGoMod in its functions_framework/lib/lib.go): program is its path.
func build(t *testing.T, packed []byte, program string) {
	t.Helper()
	root := unpack(t, packed)
	pkg, imports := rootPackage(t, root)
	if _, ok := imports[framework+"/functions"]; !ok {
		t.Fatal("the root package does not import functions-framework-go/functions itself: the buildpack would look for an exported function instead")
	}
	for _, absent := range []string{"vendor", "functions.local", "serverless_function_source_code", pkg} {
		if _, err := os.Stat(filepath.Join(root, absent)); err == nil {
			t.Fatalf("the root holds %s, which the buildpack takes for something else", absent)
		}
	}
	name := strings.TrimSpace(string(run(t, root, "go", "list", "-m")))
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		t.Fatalf("the buildpack refuses the module path %q: no dot in its first element", name)
	}
	if version := strings.TrimSpace(string(run(t, root, "go", "list", "-m", "-f", "{{.Version}}", framework))); version == "" {
		t.Fatal("go.mod does not name the functions framework: the buildpack would choose a version of its own")
	}
	before := requirements(t, root)

	app := filepath.Join(root, "functions.local", "app")
	must(t, os.MkdirAll(app, 0o750))
	must(t, os.WriteFile(filepath.Join(app, "main.go"), []byte(strings.ReplaceAll(starter, "ROOT", name)), 0o600))
	run(t, root, "go", "mod", "tidy")
	for dependency, version := range requirements(t, root) {
		if before[dependency] != version {
			t.Errorf("`go mod tidy` of the buildpack takes %s %s, tested was %q", dependency, version, before[dependency])
		}
	}
	// -trimpath only so that eight builds in eight folders share the build cache, and
	// without debug information because linking takes the most of the time.
	run(t, root, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./functions.local/app")
}

// rootPackage is the name of the only package in a folder, and what it imports. The
// buildpack parses every *.go file there, tests and build tags or not.
func rootPackage(t *testing.T, dir string) (name string, imports map[string]bool) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	must(t, err)
	imports = map[string]bool{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ImportsOnly)
		must(t, err)
		if name != "" && name != file.Name.Name {
			t.Fatalf("the root holds the packages %s and %s: the buildpack refuses that", name, file.Name.Name)
		}
		name = file.Name.Name
		for _, i := range file.Imports {
			imports[strings.Trim(i.Path.Value, `"`)] = true
		}
	}
	if name == "" || name == "main" {
		t.Fatalf("the root's package is %q: the buildpack cannot import that", name)
	}
	return name, imports
}

// requirements are the modules and versions of a go.mod.
func requirements(t *testing.T, dir string) map[string]string {
	t.Helper()
	var mod struct {
		Require []struct{ Path, Version string }
	}
	must(t, json.Unmarshal(run(t, dir, "go", "mod", "edit", "-json"), &mod))
	found := map[string]string{}
	for _, r := range mod.Require {
		found[r.Path] = r.Version
	}
	return found
}

// holdsOnly reports what of this module a program was linked with: its one function,
// and nothing that is for tests.
func holdsOnly(t *testing.T, name, program string) {
	t.Helper()
	content, err := os.ReadFile(program)
	must(t, err)
	for other, folder := range functions {
		if has := bytes.Contains(content, []byte(module+"/functions/"+folder+".")); has != (other == name) {
			t.Errorf("holds the function %s: %v", other, has)
		}
	}
	for _, pkg := range []string{module + "/shared/fake", module + "/shared/simulation", module + "/shared/testenv", "/storetest", "github.com/chromedp", "pgregory.net/rapid"} {
		if bytes.Contains(content, []byte(pkg)) {
			t.Errorf("holds %s", pkg)
		}
	}
}

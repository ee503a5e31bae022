package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// variablesOf reads a file of lines NAME=value. Empty lines and those that begin
// with # are left out; "export " before a name and quotes around a value are
// dropped. An error names the line and never quotes it: it may hold a secret.
func variablesOf(path string) (map[string]string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	out := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || name == "" || strings.ContainsAny(name, " \t\"'") {
			return nil, fmt.Errorf("%s: line %d is not NAME=value", path, n)
		}
		for _, quote := range []string{`'`, `"`} {
			if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
				value = value[1 : len(value)-1]
				break
			}
		}
		out[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// over looks a variable up in the environment first, then in the file's.
func over(lookup func(string) (string, bool), file map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, set := lookup(name); set && strings.TrimSpace(v) != "" {
			return v, true
		}
		v, set := file[name]
		return v, set
	}
}

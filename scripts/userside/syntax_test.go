package userside_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

func phpFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".php") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 10 {
		t.Fatalf("PHP files: %v, %v", files, err)
	}
	return files
}

func TestEveryFileIsSoundPHP(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	for _, file := range phpFiles(t) {
		if out, code := s.run("-l", file); code != 0 {
			t.Errorf("php -l %s: %s", file, out)
		}
	}
}

// The ERP may still be on PHP 7.4, which Debian no longer has: PHP's own tokens tell what
// is newer.
func TestEveryFileKeepsToPHP74(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	if out, code := s.run(append([]string{"testdata/syntax74.php"}, phpFiles(t)...)...); code != 0 || out != "" {
		t.Errorf("newer than PHP 7.4:\n%s", out)
	}

	file := filepath.Join(t.TempDir(), "x.php")
	for code, want := range map[string]string{
		"$x = match ($y) { 1 => 2 };": "match",
		"enum A { case B; }":          "enum",
		"$x?->y();":                   "the nullsafe operator",
		"#[A] function f() {}":        "an attribute",
		"f(name: 1);":                 "a named argument",
		"f(1, name: 2);":              "a named argument",
		"class A { function __construct(private $x) {} }":                    "a promoted parameter",
		"class A { public readonly int $x; }":                                "readonly",
		"class A { private int|string $x; }":                                 "a type of several",
		"class A { private ?A $x; private mixed $y; }":                       "the type mixed",
		"function f(int|string $x) {}":                                       "a type of several",
		"function f($x): int|false {}":                                       "a type of several",
		"function f(A&B $x) {}":                                              "a type of several",
		"function f(mixed $x) {}":                                            "the type mixed",
		"function f(): never {}":                                             "the type never",
		"class A { function f(): static {} }":                                "the return type static",
		"function f($x,) {}":                                                 "a comma behind the last parameter",
		"$f = function () use ($x,) {};":                                     "a comma behind the last parameter",
		"function f($x = new A()) {}":                                        "new in a default",
		"try { f(); } catch (A) {}":                                          "catch without a variable",
		"$x = $y ?? throw new A();":                                          "throw as an expression",
		"$f = fn() => throw new A();":                                        "throw as an expression",
		"$f = strlen(...);":                                                  "a first-class callable",
		"echo $x::class;":                                                    "::class of an object",
		"$x = 0o17;":                                                         "an octal number with 0o",
		"class A { final const B = 1; }":                                     "a final constant",
		"class A { const int B = 1; }":                                       "a constant with a type",
		"if (str_contains($x, 'y')) {}":                                      "str_contains()",
		`if (\array_is_list($x)) {}`:                                         `\array_is_list()`,
		"$x = 1_000; $f = fn(?int $x = null) => $x ?: [1, 2,]; $y ??= 3;":    "",
		"f(1, 2,); switch ($x) { case A: $y = $z ? B : C; default: break; }": "",
		"try { f(); } catch (A | B $e) { throw $e; } finally { g(); }":       "",
		"class A { private ?array $x = null; const B = 1 | 2; public static function f(self $a, int ...$b): ?self { return new static(); } }": "",
		"$f = static function (array $x = [A | B], $y = null) use (&$z): void { $x->match(); $this->enum = A::class; };":                      "",
	} {
		s.write(file, "<?php\n"+code+"\n")
		out, _ := s.run("testdata/syntax74.php", file)
		if want == "" && out != "" || want != "" && !strings.Contains(out, file+":2: "+want+"\n") {
			t.Errorf("%s: found %q, want %q", code, out, want)
		}
	}
}

package testenv

import (
	"os/exec"
	"testing"
)

// PHP returns the path of PHP's command line, which has a web server built in.
func PHP(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("php")
	if err != nil {
		missing(t, "PHP is not installed", "`apt-get install php-cli` (Debian)")
	}
	return path
}

// PHPCurl is PHP with its curl extension.
func PHPCurl(t testing.TB) string {
	t.Helper()
	path := PHP(t)
	if exec.CommandContext(t.Context(), path, "-r", `exit(extension_loaded("curl") ? 0 : 1);`).Run() != nil {
		missing(t, "PHP's curl extension is not installed", "`apt-get install php-curl` (Debian)")
	}
	return path
}

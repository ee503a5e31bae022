package testenv

import (
	"os/exec"
	"testing"
)

// PHP returns the path of PHP's command line, which has a web server built in.
func PHP(t testing.TB) string {
	t.Helper()
	leftOut(t, "PHP")
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

// PHPFPM returns the path of PHP-FPM, the process manager behind most web servers.
func PHPFPM(t testing.TB) string {
	t.Helper()
	leftOut(t, "PHP-FPM")
	for _, name := range []string{"php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1", "php-fpm8.0", "php-fpm7.4"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "PHP-FPM is not installed", "`apt-get install php-fpm` (Debian)")
	return ""
}

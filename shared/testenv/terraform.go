package testenv

import (
	"os/exec"
	"strings"
	"testing"
)

// Terraform returns the path of Terraform. Where no provider registry is reachable, an
// offline mirror has to be set up beforehand (TF_CLI_CONFIG_FILE, as .ci/run does).
func Terraform(t testing.TB) string {
	t.Helper()
	leftOut(t, "Terraform")
	path, err := exec.LookPath("terraform")
	if err != nil {
		missing(t, "Terraform is not installed", "https://developer.hashicorp.com/terraform/install")
	}
	return path
}

// InitTerraform fails a test because of what `terraform init` said, but skips it where that
// is no more than that this machine reaches no provider registry.
func InitTerraform(t testing.TB, said string) {
	t.Helper()
	if strings.Contains(said, "could not connect to registry") {
		missing(t, "Terraform reaches no registry", "a mirror of its providers that TF_CLI_CONFIG_FILE names (provider_installation)")
	}
	t.Fatalf("terraform init: %s", said)
}

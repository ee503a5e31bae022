package testenv

import (
	"os/exec"
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

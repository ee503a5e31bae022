package deploytest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// freshGcloud is a Google Cloud in which nothing was ever done: each command needs what a
// real one needs, and leaves a file in $WORLD that says what there is now. What it does
// not know it refuses.
const freshGcloud = `#!/bin/bash
printf 'gcloud %s\n' "$*" >>"$WORLD/calls"
die() { echo "ERROR: (gcloud) $*" >&2; exit 1; }
has() { [ -e "$WORLD/$1" ]; }
needs() { has "$1" || die "$2"; }
[ "$1 $2" = "auth login" ] || needs login "You do not currently have an active account selected."
case "$*" in
"auth login") : >"$WORLD/login" ;;
"auth list"*) echo ann@example.com ;;
"auth application-default login") : >"$WORLD/adc" ;;
"auth application-default set-quota-project acme-calendars")
  needs adc "no credentials"; needs api-serviceusage.googleapis.com "Service Usage API has not been used in project" ;;
"auth application-default print-access-token") needs adc "could not be found"; echo ya29.token ;;
"projects create acme-calendars") : >"$WORLD/project" ;;
"projects describe acme-calendars --format=value(projectNumber)") needs project "The caller does not have permission"; echo 123456789012 ;;
"projects describe acme-calendars"*) needs project "The caller does not have permission"; printf 'acme-calendars\tACTIVE\n' ;;
"billing projects link acme-calendars --billing-account="*) needs project "no such project"; : >"$WORLD/billing" ;;
"billing projects describe"*)
  needs api-cloudbilling.googleapis.com "SERVICE_DISABLED: Cloud Billing API"; has billing && echo True || echo False ;;
"config set project acme-calendars") ;;
"services enable "*)
  needs project "no such project"
  for api in "${@:3}"; do : >"$WORLD/api-$api"; done ;;
"services list"*) ;;
"org-policies describe"*) needs api-orgpolicy.googleapis.com "SERVICE_DISABLED: Organization Policy API"; die "NOT_FOUND: Requested entity was not found." ;;
"storage buckets create gs://acme-calendars-tfstate"*) needs billing "the billing account is disabled"; : >"$WORLD/bucket" ;;
"storage buckets update gs://acme-calendars-tfstate"*) needs bucket "not found" ;;
*) die "unexpected: $*" ;;
esac
`

// freshTerraform needs the bucket that backend.tf names, and plans.
const freshTerraform = `#!/bin/bash
printf 'terraform %s\n' "$*" >>"$WORLD/calls"
case "$*" in
version) echo "Terraform v1.11.0" ;;
*" init "*)
  grep -q 'bucket = "acme-calendars-tfstate"' terraform/backend.tf || { echo "no backend"; exit 1; }
  [ -e "$WORLD/bucket" ] || { echo "the bucket does not exist"; exit 1; } ;;
*" plan "*) for a; do case $a in -out=*) echo plan >"${a#-out=}" ;; esac; done; echo "Plan: 150 to add" ;;
esac
`

// The README, word by word, from an empty project to the plan.
func TestTheREADMELeadsFromNothingToAPlan(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../terraform/README.md")
	must(t, err)
	_, steps, _ := strings.Cut(string(readme), "\n## Set-up from an empty project\n")
	steps, _, found := strings.Cut(steps, "\n**7. ")
	if !found {
		t.Fatal("terraform/README.md has no set-up of seven steps")
	}
	var commands strings.Builder
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(steps, -1) {
		for line := range strings.Lines(m[1]) {
			if !strings.HasPrefix(line, "./scripts/deploy -apply") {
				commands.WriteString(line)
			}
		}
	}

	folder := t.TempDir()
	world, bin := filepath.Join(folder, "world"), filepath.Join(folder, "bin")
	for _, dir := range []string{world, bin} {
		must(t, os.Mkdir(dir, 0o750))
	}
	repository, err := filepath.Abs("../..")
	must(t, err)
	for name, text := range map[string]string{
		"gcloud": freshGcloud, "terraform": freshTerraform, "curl": curl,
		// A clone has what is in the repository and nothing of this machine's.
		"git": "#!/bin/bash\nset -e\n[ \"$1\" = clone ] && mkdir -p erp-calendar/scripts erp-calendar/terraform\n" +
			"cp '" + repository + "/scripts/deploy' erp-calendar/scripts/\ncp '" + repository + "'/terraform/variables.tf '" + repository + "'/terraform/versions.tf '" + repository + "'/terraform/terraform.tfvars.example erp-calendar/terraform/\n",
	} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700))
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands.String())
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + folder, "WORLD=" + world, "CALLS=" + filepath.Join(world, "calls"), "APPLICATION_ACCOUNT=ann@example.com"}
	ownSession(cmd)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nof\n%s", err, output, &commands)
	}
	for _, want := range []string{"https://oauth-123456789012.europe-west1.run.app/callback\n", "Plan: 150 to add", "This was the plan; nothing was changed."} {
		if !strings.Contains(string(output), want) {
			t.Errorf("does not say %q:\n%s", want, output)
		}
	}
	if strings.Contains(string(output), "Note:") {
		t.Errorf("whoever follows the README is warned:\n%s", output)
	}
}

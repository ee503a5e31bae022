package deploytest_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	erpKey       = "the-key-of-the-erp"
	clientSecret = "GOCSPX-the-secret-of-the-client"
	oldWebhook   = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w="
	project      = "acme-calendars"
)

// gcloud answers what the variables of a test say; everything else succeeds with
// nothing to tell, as before a first deployment. "off" is an API that is not enabled.
const gcloud = `#!/bin/sh
printf 'gcloud %s\n' "$*" >>"$CALLS"
env | grep -v '^OLD=' >>"$CALLS.gcloud-environment"
answer() {
  case $1 in
  '') echo "ERROR: (gcloud) $2" >&2; exit 1 ;;
  off) echo "ERROR: (gcloud) SERVICE_DISABLED: the API has not been used in project 1 before or it is disabled." >&2; exit 1 ;;
  absent) echo "ERROR: (gcloud) NOT_FOUND: Requested entity was not found." >&2; exit 1 ;;
  none) exit 0 ;;
  esac
  printf '%s\n' "$1"; exit 0
}
case "$*" in
"auth list"*) answer "${ACCOUNT:-none}" ;;
"auth application-default print-access-token"*) answer "$APPLICATION_LOGIN" "could not be found" ;;
"projects describe"*) answer "$PROJECT" "The caller does not have permission" ;;
"billing projects describe"*) answer "$BILLING" "billing is a secret" ;;
"org-policies describe iam.allowedPolicyMemberDomains --project=acme-calendars --effective"*) answer "$DOMAINS" "PERMISSION_DENIED" ;;
"org-policies describe iam.managed.allowedPolicyMembers --project=acme-calendars --effective"*) answer "$MEMBERS" "PERMISSION_DENIED" ;;
"services list"*) answer "${SERVICE:-none}" ;;
"secrets list"*) answer "$SECRETS" ;;
"secrets versions list"*) answer "${VERSION:-none}" ;;
"secrets versions access"*) answer "$OLD" "Permission denied" ;;
"beta services identity create --service=pubsub.googleapis.com --project=acme-calendars") [ -z "$NO_AGENT" ] || answer "" "PERMISSION_DENIED"; : >"$CALLS.agent" ;;
esac
`

// terraform notes its arguments and the variables it gets. Its apply is that of a new
// project: without the service agent of Pub/Sub, the grants to it fail.
const terraform = `#!/bin/sh
printf 'terraform %s\n' "$*" >>"$CALLS"
[ -z "$TF_LOG$TF_LOG_PATH" ] || echo "terraform keeps a log of $*"
case "$*" in
version) echo "Terraform v${TERRAFORM:-1.11.0}"; exit 0 ;;
*" state pull") [ -z "$STATE" ] || cat "$STATE"; exit 0 ;;
*" plan "*) env | grep -E '^TF_(VAR|LOG)' >"$CALLS.plan"; for a; do case $a in -out=*) echo plan >"${a#-out=}" ;; esac; done ;;
*" apply "*)
  env | grep -E '^TF_(VAR|LOG)' >"$CALLS.apply"; for a; do :; done; [ -f "$a" ] || exit 1
  [ -f "$CALLS.agent" ] || { echo "Error 400: Service account service-1@gcp-sa-pubsub.iam.gserviceaccount.com does not exist."; exit 1; }
  [ -z "$APPLY_SAYS" ] || { echo "$APPLY_SAYS" >&2; exit 1; } ;;
esac
exit "${TERRAFORM_FAILS:-0}"
`

// curl is Google as the account of the application default credentials sees it: by
// default it has every permission that is asked for.
const curl = `#!/bin/sh
printf 'curl %s\n' "$*" >>"$CALLS"
for a; do case $a in *curl) grep -q '^header = "Authorization: Bearer ya29.token"$' "$a" || exit 1 ;; esac; done
case "$*" in
*userinfo) printf '{\n  "sub": "1",\n  "email": "%s",\n  "email_verified": true\n}\n' "$APPLICATION_ACCOUNT" ;;
*testIamPermissions)
  [ -z "$PERMISSIONS" ] || { printf '%s\n' "$PERMISSIONS"; exit 0; }
  for a; do case $a in '{"permissions":'*) printf '%s\n' "$a" ;; esac; done ;;
esac
`

const (
	anyMember  = `{"spec": {"rules": [{"allowAll": true}]}}`
	ownMembers = `{"spec": {"rules": [{"values": {"allowedValues": ["C03example"]}}]}}`
	notInForce = `{"spec": {"rules": [{"enforce": false}]}}`
	inForce    = `{"spec": {"rules": [{"enforce": true, "parameters": {"allowedPrincipalSets": ["//cloudresourcemanager.googleapis.com/organizations/1"]}}]}}`
)

const tfvars = `project_id          = "acme-calendars"
region              = "europe-west1"
erp_url             = "https://erp.example.com"
time_zone           = "Europe/Kyiv"
admin_emails        = ["ann@example.com"]
integration_account = "calendars@example.com"
oauth_client_id     = "123456789012-abc123.apps.googleusercontent.com"
`

// setup is an admin's machine.
type setup struct {
	tfvars string
	env    map[string]string
	stdin  string
	// state is what "secret_data_wo_version" is stored as, by secret; nil: no state.
	state   map[string]string
	without string // a tool that is not installed
	backend bool   // backend.tf is there
}

// ready is a machine on which everything is in order for a first deployment.
func ready(change ...func(*setup)) setup {
	s := setup{tfvars: tfvars, env: map[string]string{
		"ACCOUNT": "ann@example.com", "APPLICATION_LOGIN": "ya29.token", "PROJECT": project + "\tACTIVE", "BILLING": "True",
		"SECRETS": "none", "APPLICATION_ACCOUNT": "ann@example.com", "DOMAINS": anyMember, "MEMBERS": notInForce,
	}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func with(name, value string) func(*setup) { return func(s *setup) { s.env[name] = value } }

// inSecretManager is a project whose four secrets each have a version in force.
func inSecretManager(s *setup) {
	s.env["SERVICE"], s.env["SECRETS"], s.env["VERSION"] = "secretmanager.googleapis.com", "erp-api-key\noauth-client-secret\nsession-key\nnotify-secrets", "1"
}

// deployed is what a run left behind.
type deployed struct {
	t      *testing.T
	folder string
	output string
	status int
}

// deploy runs scripts/deploy in a copy that holds the configuration's own variables.
func deploy(t *testing.T, s setup, args ...string) deployed {
	t.Helper()
	return finish(t, s, args, func(cmd *exec.Cmd) ([]byte, error) {
		cmd.Stdin = strings.NewReader(s.stdin)
		return cmd.CombinedOutput()
	})
}

func finish(t *testing.T, s setup, args []string, run func(*exec.Cmd) ([]byte, error)) deployed {
	t.Helper()
	folder := t.TempDir()
	bin, scripts, config, tmp := filepath.Join(folder, "bin"), filepath.Join(folder, "scripts"), filepath.Join(folder, "terraform"), filepath.Join(folder, "tmp")
	for _, dir := range []string{bin, scripts, config, tmp} {
		must(t, os.Mkdir(dir, 0o750))
	}
	script, err := os.ReadFile("../deploy")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(scripts, "deploy"), script, 0o700))
	variables, err := os.ReadFile("../../terraform/variables.tf")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(config, "variables.tf"), variables, 0o600))
	if s.tfvars != "" {
		must(t, os.WriteFile(filepath.Join(config, "terraform.tfvars"), []byte(s.tfvars), 0o600))
	}
	if s.backend {
		must(t, os.WriteFile(filepath.Join(config, "backend.tf"), []byte("terraform {\n  backend \"gcs\" {\n  }\n}\n"), 0o600))
	}
	// Only the ordinary programs of a shell beside the stand-ins.
	for _, tool := range []string{"bash", "sh", "awk", "sed", "grep", "head", "tail", "tr", "cat", "base64", "mktemp", "rm", "env", "stty", "dirname", "timeout", "tee"} {
		if path, err := exec.LookPath(tool); err == nil {
			must(t, os.Symlink(path, filepath.Join(bin, tool)))
		}
	}
	for name, text := range map[string]string{"gcloud": gcloud, "terraform": terraform, "curl": curl} {
		if name != s.without {
			must(t, os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700))
		}
	}
	if s.state != nil {
		s.env["STATE"] = filepath.Join(folder, "state")
		must(t, os.WriteFile(s.env["STATE"], []byte(state(s.state)), 0o600))
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(scripts, "deploy"), args...)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + bin, "HOME=" + folder, "TMPDIR=" + tmp, "CALLS=" + filepath.Join(folder, "calls")}
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	ownSession(cmd)
	output, err := run(cmd)
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return deployed{t, folder, string(output), cmd.ProcessState.ExitCode()}
}

// state has the form of `terraform state pull`.
func state(stored map[string]string) string {
	var instances []string
	for _, key := range []string{"ERP_API_KEY", "OAUTH_CLIENT_SECRET", "SESSION_KEY", "NOTIFY_SECRETS"} {
		instances = append(instances, `        {
          "index_key": "`+key+`",
          "schema_version": 1,
          "attributes": {
            "secret": "projects/acme-calendars/secrets/x",
            "secret_data_wo": null,
            "secret_data_wo_version": "`+stored[key]+`"
          },
          "sensitive_attributes": [
            [
              {
                "type": "get_attr",
                "value": "secret_data"
              }
            ]
          ]
        }`)
	}
	return `{
  "version": 4,
  "outputs": { "x": {
      "value": "y",
      "type": "string"
  } },
  "resources": [
    {
      "mode": "managed",
      "type": "terraform_data",
      "name": "value_given",
      "instances": [
        {
          "index_key": "SESSION_KEY",
          "attributes": {
            "secret_data_wo_version": "99"
          }
        }
      ]
    },
    {
      "mode": "managed",
      "type": "google_secret_manager_secret_version",
      "name": "this",
      "instances": [
` + strings.Join(instances, ",\n") + `
      ]
    }
  ]
}
`
}

func (d deployed) wantStatus(want int) {
	d.t.Helper()
	if d.status != want {
		d.t.Fatalf("ended with %d, want %d:\n%s", d.status, want, d.output)
	}
}

func (d deployed) wantSaid(parts ...string) {
	d.t.Helper()
	for _, part := range parts {
		if !strings.Contains(d.output, part) {
			d.t.Errorf("does not say %q:\n%s", part, d.output)
		}
	}
}

// calls are the noted calls that begin so.
func (d deployed) calls(prefix string) []string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "calls"))
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// got is Terraform's environment in "plan" or "apply"; nil where it was not called.
func (d deployed) got(step string) map[string]string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "calls."+step))
	if err != nil {
		return nil
	}
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		found[strings.TrimPrefix(name, "TF_VAR_")] = value
	}
	return found
}

// keepsSecret fails if a value is anywhere but in Terraform's environment: in what was
// printed, on a command line, in gcloud's environment or in a file.
func (d deployed) keepsSecret(values ...string) {
	d.t.Helper()
	for _, value := range values {
		if value == "" {
			d.t.Error("there is no value to keep secret")
			continue
		}
		if strings.Contains(d.output, value) {
			d.t.Errorf("%q was printed:\n%s", value, d.output)
		}
		must(d.t, filepath.WalkDir(d.folder, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, "calls.plan") || strings.HasSuffix(path, "calls.apply") {
				return err
			}
			content, err := os.ReadFile(path)
			if err == nil && bytes.Contains(content, []byte(value)) {
				d.t.Errorf("%q is in %s", value, path)
			}
			return err
		}))
	}
	if left, err := os.ReadDir(filepath.Join(d.folder, "tmp")); err != nil || len(left) > 0 {
		d.t.Errorf("left behind: %v, %v", left, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

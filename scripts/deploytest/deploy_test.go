// Package deploytest shows what scripts/deploy checks, explains and hands over, with
// stand-ins of gcloud, terraform and curl on its PATH that note how they were called. It
// must never find the real gcloud, nor a cloud.
package deploytest_test

import (
	"encoding/base64"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsMissingIsExplained(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		setup setup
		want  []string
	}{
		"no terraform":         {ready(func(s *setup) { s.without = "terraform" }), []string{"Terraform is not installed", "https://developer.hashicorp.com/terraform/install"}},
		"old terraform":        {ready(with("TERRAFORM", "1.9.8")), []string{"Terraform 1.9.8 is too old", "1.11"}},
		"older major":          {ready(with("TERRAFORM", "0.15.5")), []string{"Terraform 0.15.5 is too old"}},
		"no gcloud":            {ready(func(s *setup) { s.without = "gcloud" }), []string{"gcloud, the Google Cloud CLI, is not installed", "https://cloud.google.com/sdk/docs/install"}},
		"no login":             {ready(with("ACCOUNT", "")), []string{"not logged in", "gcloud auth login"}},
		"no application login": {ready(with("APPLICATION_LOGIN", "")), []string{"gcloud auth application-default login"}},
		"no project":           {ready(with("PROJECT", "")), []string{"The project acme-calendars does not exist, or ann@example.com may not see it", "The caller does not have permission", "gcloud projects list"}},
		"number for id":        {ready(with("PROJECT", "other-project\tACTIVE")), []string{"project_id is acme-calendars, but that project's id is other-project"}},
		"deleted project":      {ready(with("PROJECT", project+"\tDELETE_REQUESTED")), []string{"about to be deleted", "gcloud projects undelete acme-calendars"}},
		"no billing":           {ready(with("BILLING", "False")), []string{"Billing is not enabled", "gcloud billing projects link acme-calendars"}},
		"billing unknown":      {ready(with("BILLING", "")), []string{"has billing could not be read: ann@example.com lacks a role", "billing is a secret"}},
		"billing API off":      {ready(with("BILLING", "off")), []string{"has billing could not be read: the Cloud Billing API is off", "gcloud services enable cloudbilling.googleapis.com --project=acme-calendars"}},
		"another's login":      {ready(with("APPLICATION_ACCOUNT", "bob@other.example"), with("PERMISSIONS", `{"error": {"code": 403, "status": "PERMISSION_DENIED"}}`)), []string{"Terraform works as bob@other.example, which may not see the project acme-calendars (gcloud works as ann@example.com)", "gcloud auth application-default login"}},
		"no resource manager":  {ready(with("PERMISSIONS", `{"error": {"code": 403, "details": [{"reason": "SERVICE_DISABLED"}]}}`)), []string{"the Cloud Resource Manager API is off", "gcloud services enable cloudresourcemanager.googleapis.com --project=acme-calendars"}},
		"a lesser login":       {ready(with("APPLICATION_ACCOUNT", "bob@other.example"), with("PERMISSIONS", `{"permissions": ["pubsub.topics.create"]}`)), []string{"Terraform works as bob@other.example, which lacks roles on the project", "Missing: artifactregistry.repositories.create", "--member=user:bob@other.example --role=roles/owner"}},
		"a login of nobody":    {ready(with("APPLICATION_ACCOUNT", ""), with("PERMISSIONS", "{}")), []string{"Terraform works as the account of the application default credentials, which lacks roles"}},
		"allUsers, by domain":  {ready(with("DOMAINS", ownMembers)), []string{"policy iam.allowedPolicyMemberDomains refuses allUsers", "roles/orgpolicy.policyAdmin", "name: projects/acme-calendars/policies/iam.allowedPolicyMemberDomains\n   spec:\n     rules:\n     - allowAll: true\n", "gcloud org-policies set-policy policy.yaml", "allow_all_users = false"}},
		"allUsers, managed":    {ready(with("MEMBERS", inForce), with("DOMAINS", "absent")), []string{"policy iam.managed.allowedPolicyMembers refuses allUsers", "name: projects/acme-calendars/policies/iam.managed.allowedPolicyMembers\n   spec:\n     rules:\n     - enforce: false\n"}},
		"allUsers, unknown":    {ready(with("DOMAINS", "off")), []string{"the Organization Policy API is off", "gcloud services enable orgpolicy.googleapis.com --project=acme-calendars"}},
		"no variables file":    {ready(func(s *setup) { s.tfvars = "" }), []string{"The variable project_id is missing", "terraform.tfvars.example", "The variable oauth_client_id is missing", "\n7 to mend"}},
		"one variable":         {ready(func(s *setup) { s.tfvars = strings.Replace(tfvars, "erp_url", "# erp_url", 1) }), []string{"The variable erp_url is missing.\n   Base URL of the ERP", "\n1 to mend"}},
		"an empty variable":    {ready(func(s *setup) { s.tfvars = strings.Replace(tfvars, `["ann@example.com"]`, "[]", 1) }), []string{"The variable admin_emails is missing"}},
		"a secret in a file":   {ready(func(s *setup) { s.tfvars += "erp_api_key = \"" + erpKey + "\"\n" }), []string{"The secret erp_api_key is written in a variables file", "replace the secret"}},
		"all at once": {ready(with("ACCOUNT", ""), with("TERRAFORM", "1.10.5"), with("APPLICATION_LOGIN", ""), func(s *setup) { s.tfvars = "region = \"europe-west1\"" }),
			[]string{"1. Terraform 1.10.5", "2. You are not logged in", "3. Terraform has no login", "4. The variable project_id", "9. The variable oauth_client_id", "\n9 to mend, then run scripts/deploy again. Nothing was changed."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, row.setup, "-apply")
			d.wantStatus(1)
			d.wantSaid(row.want...)
			if calls := d.calls("terraform -chdir"); len(calls) > 0 {
				t.Errorf("went on to %v", calls)
			}
			if strings.Contains(d.output, erpKey) {
				t.Error("the key was printed")
			}
		})
	}
}

func TestSecretsThatAreMissingAreExplainedTogether(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready(), "-apply")
	d.wantStatus(1)
	d.wantSaid("The secret erp_api_key is missing", "API key of the ERP", "TF_VAR_erp_api_key", "erp_api_key=<value> on standard input", "The secret oauth_client_secret is missing", "2 to mend")
	if d.got("plan") != nil {
		t.Error("planned nevertheless")
	}
}

func TestAPlanNeedsNoSecretAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready())
	d.wantStatus(0)
	d.wantSaid("nothing was changed", "scripts/deploy -apply")
	if calls := d.calls("terraform -chdir=terraform apply"); len(calls) > 0 {
		t.Errorf("applied: %v", calls)
	}
	got := d.got("plan")
	if got == nil {
		t.Fatal("did not plan")
	}
	d.keepsSecret(got["session_key"], got["notify_secrets"])
}

func TestTheFirstDeploymentStoresFourSecrets(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{
		"environment": ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret)),
		"input":       ready(func(s *setup) { s.stdin = "erp_api_key=" + erpKey + "\noauth_client_secret=" + clientSecret }),
		// The service is enabled but holds other people's secrets.
		"others' secrets": ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret), with("SERVICE", "secretmanager.googleapis.com"), with("SECRETS", "my-session-key")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, s, "-apply")
			d.wantStatus(0)
			plan, apply := d.got("plan"), d.got("apply")
			if plan["erp_api_key"] != erpKey || plan["oauth_client_secret"] != clientSecret {
				t.Errorf("planned with %v", plan)
			}
			for _, secret := range []string{"erp_api_key", "oauth_client_secret", "session_key", "notify_secrets"} {
				if apply[secret] == "" || apply[secret] != plan[secret] {
					t.Errorf("%s is %q in the plan and %q in the apply", secret, plan[secret], apply[secret])
				}
			}
			if key, err := base64.StdEncoding.DecodeString(apply["session_key"]); err != nil || len(key) != 32 {
				t.Errorf("the session key is %d bytes, %v; want 32", len(key), err)
			}
			webhook, ok := strings.CutPrefix(apply["notify_secrets"], "whsec_")
			if key, err := base64.StdEncoding.DecodeString(webhook); !ok || err != nil || len(key) != 32 || webhook == apply["session_key"] {
				t.Errorf("the webhook secret is %q (%v), want one of 32 bytes", apply["notify_secrets"], err)
			}
			d.keepsSecret(erpKey, clientSecret, apply["session_key"], apply["notify_secrets"])
			d.wantSaid("The first apply takes about 25 minutes", "gcloud secrets versions access latest --secret=notify-secrets --project=acme-calendars")
			applied := d.calls("terraform -chdir=terraform apply")
			planned := d.calls("terraform -chdir=terraform plan")
			if len(applied) != 1 || len(planned) != 1 || !strings.HasSuffix(planned[0], "-out="+applied[0][strings.LastIndex(applied[0], " ")+1:]) {
				t.Errorf("%q was planned and %q applied, want that plan", planned, applied)
			}
		})
	}
}

func TestEachMachineMakesKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := deploy(t, ready()).got("plan"), deploy(t, ready()).got("plan")
	for _, secret := range []string{"session_key", "notify_secrets"} {
		if one[secret] == "" || one[secret] == two[secret] {
			t.Errorf("%s is %q both times", secret, one[secret])
		}
	}
}

// A project that was made today, in an organization that was made this year: nobody has
// enabled the APIs that only the check needs, allUsers is refused twice, builds are
// restricted to a few regions, and Terraform's login is a colleague's. All of it is told
// at once, and nothing is made.
func TestAFreshProjectIsToldBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	fresh := ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret),
		with("BILLING", "off"), with("DOMAINS", ownMembers), with("MEMBERS", inForce),
		with("APPLICATION_ACCOUNT", "bob@other.example"), with("PERMISSIONS", `{"error": {"code": 403}}`),
		func(s *setup) { s.tfvars = strings.Replace(tfvars, "europe-west1", "europe-west3", 1) })
	d := deploy(t, fresh, "-apply")
	d.wantStatus(1)
	d.wantSaid("1. Terraform works as bob@other.example", "2. Whether the project acme-calendars has billing", "3. Your organization's policy iam.allowedPolicyMemberDomains",
		"4. Your organization's policy iam.managed.allowedPolicyMembers", "\n4 to mend, then run scripts/deploy again. Nothing was changed.")
	for _, made := range []string{"terraform -chdir", "gcloud services enable", "gcloud beta"} {
		if calls := d.calls(made); len(calls) > 0 {
			t.Errorf("went on to %v", calls)
		}
	}
	d.keepsSecret(erpKey, clientSecret)
	if all := d.output + strings.Join(d.calls(""), "\n"); strings.Contains(all, "ya29.token") {
		t.Errorf("Terraform's token is for everybody to read: %s", all)
	}

	// All but the region is mended: it is told before the plan, and the agent that no API
	// makes is there before the apply.
	fresh = ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret),
		func(s *setup) { s.tfvars = strings.Replace(tfvars, "europe-west1", "europe-west3", 1) })
	d = deploy(t, fresh, "-apply")
	d.wantStatus(0)
	d.wantSaid("Note: A new project may build functions only in us-central1, us-west2, europe-west1", "region is europe-west3", "cannot be changed later")
	all := d.calls("")
	agent, apply := slices.IndexFunc(all, func(c string) bool { return strings.HasPrefix(c, "gcloud beta services identity create") }), slices.IndexFunc(all, func(c string) bool { return strings.Contains(c, " apply ") })
	if agent < 0 || agent > apply {
		t.Errorf("the service agent was not made before the apply: %q", all)
	}
	d.keepsSecret(erpKey, clientSecret)
}

func TestWithoutItsAgentNothingIsApplied(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret), with("NO_AGENT", "yes")), "-apply")
	d.wantStatus(1)
	d.wantSaid("The service agent of Pub/Sub could not be made", "PERMISSION_DENIED", "gcloud beta services identity create --service=pubsub.googleapis.com --project=acme-calendars")
	if d.got("apply") != nil {
		t.Error("applied nevertheless")
	}
}

func TestWhatIsOddIsSaidAndDoesNotStop(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		setup setup
		want  string
	}{
		"local state":           {ready(), "There is no terraform/backend.tf: the state will be kept on this machine alone"},
		"two accounts":          {ready(with("APPLICATION_ACCOUNT", "bob@example.com")), "Terraform works as bob@example.com, gcloud as ann@example.com"},
		"roles unknown":         {ready(with("PERMISSIONS", `{"error": {"code": 500}}`)), "The roles of the account that Terraform works as, ann@example.com, could not be checked"},
		"no curl":               {ready(func(s *setup) { s.without = "curl" }), "Without curl, the account that Terraform works as could not be checked"},
		"policy not to be read": {ready(with("DOMAINS", "")), "Whether your organization refuses allUsers could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, row.setup)
			d.wantStatus(0)
			d.wantSaid("Note: "+row.want, "nothing was changed")
		})
	}
}

func TestWhatIsInOrderIsNotWarnedOf(t *testing.T) {
	t.Parallel()
	s := ready(func(s *setup) { s.backend = true }, with("DOMAINS", "absent"), with("MEMBERS", "absent"))
	d := deploy(t, s)
	d.wantStatus(0)
	if strings.Contains(d.output, "Note:") {
		t.Errorf("warns of something:\n%s", d.output)
	}
	// The organization allows what is public by another way.
	d = deploy(t, ready(with("DOMAINS", ownMembers), func(s *setup) { s.tfvars += "allow_all_users = false\n" }, with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret)), "-apply")
	d.wantStatus(0)
	d.wantSaid("gcloud run services update console --region=europe-west1 --project=acme-calendars --no-invoker-iam-check")
}

// An apply that fails says what to do and the reason that it knows.
func TestAnApplyThatFailsSaysWhatIsBehindIt(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		"Error 400: One or more users named in the policy do not belong to a permitted customer":     "A policy of your organization refuses allUsers",
		"Error 400: Service account service-1@gcp-sa-pubsub.iam.gserviceaccount.com does not exist.": "A service agent of Google's was not there yet",
		"Error 403: Secret Manager API has not been used in project 1 before or it is disabled.":     "An API was enabled, but not everywhere yet",
		"FAILED_PRECONDITION: due to quota restrictions, cannot run builds in this region":           "A new project may not build in this region: take one of us-central1",
		"Error 403: Permission 'cloudkms.cryptoKeys.get' denied on resource":                         "A grant was not in force everywhere yet",
		"The subnetwork resource is already being used by serverless-ipv4-1":                         "wait two hours",
		"Error acquiring the state lock":                            "Another apply is under way",
		"Error 409: Database already exists.":                       "Something of that name is there",
		"exit status 1: about to be stored: set TF_VAR_session_key": "A secret was not given",
		"the moon is full":                                          "",
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret), with("APPLY_SAYS", says)), "-apply")
			d.wantStatus(1)
			d.wantSaid(says, want)
			if end := "Run it again: scripts/deploy -apply goes on from there. If it ends so again, see Troubles in terraform/README.md.\n"; !strings.HasSuffix(d.output, end) {
				t.Errorf("does not end with %q:\n%s", end, d.output)
			}
			if want == "" && strings.Contains(d.output, "\n  - ") {
				t.Errorf("knows a reason:\n%s", d.output)
			}
		})
	}
	readme, err := os.ReadFile("../../terraform/README.md")
	must(t, err)
	for _, heading := range []string{"\n## Troubles\n", "\n## If allUsers is refused\n"} {
		if !strings.Contains(string(readme), heading) {
			t.Errorf("terraform/README.md has no section %q", strings.TrimSpace(heading))
		}
	}
}

// A log of CI or a file is no place for colours.
func TestWithoutATerminalThereAreNoColours(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready(with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret)), "-apply")
	d.wantStatus(0)
	for _, call := range d.calls("terraform -chdir=terraform ") {
		if !strings.Contains(call, "-no-color") && !strings.HasSuffix(call, " state pull") {
			t.Errorf("coloured: %s", call)
		}
	}
}

// Secrets that standard input does not hold are named one by one, whatever else is on it.
func TestWhateverIsOnStandardInputEachMissingSecretIsNamed(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		stdin string
		want  []string
	}{
		"nothing":    {"", []string{"erp_api_key", "oauth_client_secret"}},
		"an answer":  {"yes\n", []string{"erp_api_key", "oauth_client_secret"}},
		"one of two": {"oauth_client_secret=" + clientSecret + "\r\n", []string{"erp_api_key"}},
		"an empty":   {"erp_api_key=\noauth_client_secret=" + clientSecret, []string{"erp_api_key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, ready(func(s *setup) { s.stdin = row.stdin }), "-apply")
			d.wantStatus(1)
			for _, secret := range []string{"erp_api_key", "oauth_client_secret"} {
				if said := strings.Contains(d.output, "The secret "+secret+" is missing"); said != slices.Contains(row.want, secret) {
					t.Errorf("%s is missing: said %v\n%s", secret, said, d.output)
				}
			}
		})
	}
}

// The state says what was stored once; Secret Manager, what is in force now.
func TestAVersionThatIsGoneIsStoredAnew(t *testing.T) {
	t.Parallel()
	all := map[string]string{"ERP_API_KEY": "1", "OAUTH_CLIENT_SECRET": "1", "SESSION_KEY": "1", "NOTIFY_SECRETS": "1"}
	gone := func(s *setup) {
		s.state = all
		s.env["SERVICE"], s.env["SECRETS"] = "secretmanager.googleapis.com", "erp-api-key\noauth-client-secret\nsession-key\nnotify-secrets"
	}
	d := deploy(t, ready(gone), "-apply")
	d.wantStatus(1)
	d.wantSaid("erp_api_key: Secret Manager has no version in force, whatever the state says", "The secret erp_api_key is missing", "The secret oauth_client_secret is missing", "2 to mend")
	d = deploy(t, ready(gone, with("TF_VAR_erp_api_key", erpKey), with("TF_VAR_oauth_client_secret", clientSecret)), "-apply")
	d.wantStatus(0)
	if got := d.got("apply"); got["erp_api_key"] != erpKey || len(got["session_key"]) != 44 || got["notify_secrets"] == "" {
		t.Errorf("applied with %v, want all four", got)
	}
	// What an earlier version of the configuration could store is no key.
	d = deploy(t, ready(with("SERVICE", "secretmanager.googleapis.com"), with("SECRETS", "session-key\nnotify-secrets"), with("VERSION", "1"), with("OLD", "not given")))
	d.wantStatus(0)
	if got := d.got("plan"); len(got["session_key"]) != 44 || !strings.HasPrefix(got["notify_secrets"], "whsec_") || strings.Contains(got["notify_secrets"], "not") {
		t.Errorf("planned with %v, want new keys", got)
	}
}

// Later runs hand over nothing that is stored, whatever the environment holds.
func TestWhatIsStoredIsLeftAlone(t *testing.T) {
	t.Parallel()
	all := map[string]string{"ERP_API_KEY": "1", "OAUTH_CLIENT_SECRET": "3", "SESSION_KEY": "1", "NOTIFY_SECRETS": "1"}
	d := deploy(t, ready(with("TF_VAR_erp_api_key", erpKey), with("TF_LOG", "TRACE"), with("TF_LOG_PATH", "terraform.log"), inSecretManager, func(s *setup) {
		s.state = all
		s.tfvars += "oauth_client_secret_version = 3 # the third\n"
	}), "-apply")
	d.wantStatus(0)
	for _, step := range []string{"plan", "apply"} {
		if got := d.got(step); got == nil || len(got) > 0 {
			t.Errorf("%s got %v, want nothing", step, got)
		}
	}
	d.wantSaid("erp_api_key is given, but version 1 is stored already: not used", "set erp_api_key_version = 2", "TF_LOG is ignored")
	d.keepsSecret(erpKey)
	if strings.Contains(d.output, "terraform keeps a log") {
		t.Errorf("Terraform's log is on:\n%s", d.output)
	}
	if calls := d.calls("gcloud secrets versions access"); len(calls) > 0 {
		t.Errorf("read secrets: %v", calls)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	all := map[string]string{"ERP_API_KEY": "1", "OAUTH_CLIENT_SECRET": "1", "SESSION_KEY": "1", "NOTIFY_SECRETS": "1"}
	stored := func(s *setup) {
		s.state = all
		s.tfvars += "notify_secrets_version = 2\nsession_key_version = 2\n"
		inSecretManager(s)
	}
	t.Run("the old webhook secret stays valid beside the new one", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, ready(stored, with("OLD", oldWebhook+" whsec_older")), "-apply")
		d.wantStatus(0)
		apply := d.got("apply")
		if !regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{43}= ` + regexp.QuoteMeta(oldWebhook) + `$`).MatchString(apply["notify_secrets"]) {
			t.Errorf("notify_secrets is %q, want a new one and %s", apply["notify_secrets"], oldWebhook)
		}
		if len(apply) != 2 || len(apply["session_key"]) != 44 {
			t.Errorf("got %v, want a new session key besides", apply)
		}
		d.keepsSecret(apply["session_key"], apply["notify_secrets"], oldWebhook)
	})
	t.Run("not without the old one", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, ready(stored), "-apply")
		d.wantStatus(1)
		d.wantSaid("The value of notify-secrets in Secret Manager could not be read", "Permission denied", "Secret Accessor")
		if d.got("plan") != nil {
			t.Error("planned nevertheless")
		}
	})
	t.Run("a value given goes first", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, ready(stored, with("TF_VAR_notify_secrets", oldWebhook)), "-apply")
		d.wantStatus(0)
		if got := d.got("apply")["notify_secrets"]; got != oldWebhook {
			t.Errorf("got %q, want the one given", got)
		}
		d.keepsSecret(oldWebhook)
	})
	t.Run("a key asked for is needed again", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, ready(inSecretManager, func(s *setup) { s.state = all }, with("TF_VAR_erp_api_key_version", "2")), "-apply")
		d.wantStatus(1)
		d.wantSaid("The secret erp_api_key is missing", "1 to mend")
	})
}

// A lost state must not change keys in use.
func TestWithoutAStateTheKeysInSecretManagerAreKept(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready(with("SERVICE", "secretmanager.googleapis.com"), with("SECRETS", "session-key\nnotify-secrets"), with("VERSION", "4"), with("OLD", oldWebhook)))
	d.wantStatus(0)
	if got := d.got("plan"); got["session_key"] != oldWebhook || got["notify_secrets"] != oldWebhook {
		t.Errorf("planned with %v, want what Secret Manager has", got)
	}
	d.keepsSecret(oldWebhook)

	// A secret whose versions are all destroyed is like none.
	d = deploy(t, ready(with("SERVICE", "secretmanager.googleapis.com"), with("SECRETS", "session-key\nnotify-secrets"), with("OLD", oldWebhook)))
	d.wantStatus(0)
	if got := d.got("plan"); got["session_key"] == oldWebhook || got["session_key"] == "" {
		t.Errorf("planned with the session key %q, want a new one", got["session_key"])
	}
}

func TestNothingSecretIsTakenFromTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-var=erp_api_key=" + erpKey}, {"-apply", erpKey}, {"--erp-api-key", erpKey}} {
		d := deploy(t, ready(), args...)
		d.wantStatus(2)
		d.wantSaid("takes nothing but -apply", "secrets into the environment")
		if strings.Contains(d.output, erpKey) || len(d.calls("")) > 0 {
			t.Errorf("%v: went on, or repeated it: %s", args, d.output)
		}
	}
}

func TestAFailureOfTerraformIsTheScripts(t *testing.T) {
	t.Parallel()
	d := deploy(t, ready(with("TERRAFORM_FAILS", "1")))
	d.wantStatus(1)
	d.wantSaid("terraform init failed")
}

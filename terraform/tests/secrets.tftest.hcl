# Secrets are write-only: nothing of them in what Terraform keeps.
mock_provider "google" {
  override_during = plan
}
mock_provider "archive" {
  override_during = plan
}
mock_provider "random" {
  override_during = plan
}
mock_provider "time" {
  override_during = plan
}

variables {
  project_id          = "acme-calendars"
  region              = "europe-west1"
  erp_url             = "https://erp.example.com/"
  time_zone           = "Europe/Kyiv"
  admin_emails        = ["ann@example.com", "bob@example.com"]
  integration_account = "calendars@example.com"
  oauth_client_id     = "123456789012-abc123.apps.googleusercontent.com"
}

run "write_only" {
  command = plan
  variables {
    erp_api_key         = "MARKER-erp"
    oauth_client_secret = "MARKER-oauth"
    session_key         = "TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUE="
    notify_secrets      = "whsec_TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUE= whsec_TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUI="
    erp_api_key_version = 3
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_version.this)) == toset(["ERP_API_KEY", "OAUTH_CLIENT_SECRET", "SESSION_KEY", "NOTIFY_SECRETS"])
    error_message = "There are four secrets."
  }
  assert {
    condition     = alltrue([for v in google_secret_manager_secret_version.this : v.secret_data == null && v.secret_data_wo == null])
    error_message = "A secret's value is kept."
  }
  assert {
    condition     = google_secret_manager_secret_version.this["ERP_API_KEY"].secret_data_wo_version == "3" && google_secret_manager_secret_version.this["SESSION_KEY"].secret_data_wo_version == "1"
    error_message = "The version variable does not tell when to store anew."
  }
  assert {
    condition     = alltrue([for k, v in local.secrets : terraform_data.value_given[k].triggers_replace == [v.version]])
    error_message = "The check that a value was given does not go with the version."
  }
  assert {
    condition     = !strcontains(jsonencode([google_cloudfunctions2_function.this, google_secret_manager_secret.this, google_monitoring_alert_policy.log]), "MARKER")
    error_message = "A secret's value is in another resource."
  }
}

# Secrets are write-only: nothing of them in what Terraform keeps.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "archive" {}
mock_provider "random" {}
mock_provider "time" {}

# Packing is done in archives.tftest.hcl only: it takes long.
override_module {
  target = module.source
  outputs = {
    hash = {
      notify        = "0123456789abcdef0123456789abcdef0123456789abcdef"
      oauth         = "1123456789abcdef0123456789abcdef0123456789abcdef"
      console       = "2123456789abcdef0123456789abcdef0123456789abcdef"
      sync-task     = "3123456789abcdef0123456789abcdef0123456789abcdef"
      sync-employee = "4123456789abcdef0123456789abcdef0123456789abcdef"
      reconcile     = "5123456789abcdef0123456789abcdef0123456789abcdef"
      poll          = "6123456789abcdef0123456789abcdef0123456789abcdef"
      dead-letter   = "7123456789abcdef0123456789abcdef0123456789abcdef"
    }
    files = []
    root = {
      notify        = "package app"
      oauth         = "package app"
      console       = "package app"
      sync-task     = "package app"
      sync-employee = "package app"
      reconcile     = "package app"
      poll          = "package app"
      dead-letter   = "package app"
    }
  }
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
}

run "key" {
  command = plan
  assert {
    condition     = module.key.rotation_period == "7776000s"
    error_message = "The key that seals the refresh token is not rotated."
  }
}

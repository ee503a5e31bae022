# Bad variables are refused, each by its own rule.
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

# Bad values of variables that have nothing to do with one another are refused in one plan, since
# each plan takes a second: all that a run names have to fail, and nothing else may.
run "refused" {
  command = plan
  variables {
    project_id                   = "Acme Calendars"
    region                       = "europe-west1-b" # a zone
    erp_url                      = "erp.example.com"
    time_zone                    = "+02:00"
    admin_emails                 = []
    integration_account          = "x@acme.iam.gserviceaccount.com"
    oauth_client_id              = "erp-calendar"
    erp_api_key                  = "abc\n"
    oauth_client_secret          = "abc"                              # short
    session_key                  = "00112233445566778899aabbccddeeff" # in hexadecimal
    notify_secrets               = "TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VS" # no prefix
    erp_api_key_version          = 0
    session_key_version          = 1.5
    oauth_client_secret_version  = 0
    notify_secrets_version       = 0
    default_settings             = "{\"language\":\"de\"}"
    calendar_requests_per_minute = 0
    calendars_per_hour           = 61 # more than Google lets through
    calendars_per_day            = 0
    shares_per_day               = 1001
    reconcile_at                 = "30 4 * * *"
    notify_min_instances         = 5
    firestore_database           = "(default)"
    alert_emails                 = []
    billing_account              = "My Billing Account"
    monthly_budget               = 0
    runbook_url                  = "https://example.com/#x"
    console_url                  = "https://example.com/calendars"
  }
  expect_failures = [
    var.project_id,
    var.region,
    var.erp_url,
    var.time_zone,
    var.admin_emails,
    var.integration_account,
    var.oauth_client_id,
    var.erp_api_key,
    var.oauth_client_secret,
    var.session_key,
    var.notify_secrets,
    var.erp_api_key_version,
    var.session_key_version,
    var.oauth_client_secret_version,
    var.notify_secrets_version,
    var.default_settings,
    var.calendar_requests_per_minute,
    var.calendars_per_hour,
    var.calendars_per_day,
    var.shares_per_day,
    var.reconcile_at,
    var.notify_min_instances,
    var.firestore_database,
    var.alert_emails,
    var.billing_account,
    var.monthly_budget,
    var.runbook_url,
    var.console_url,
  ]
}

run "refused_too" {
  command = plan
  variables {
    project_id          = "123456789012" # its number
    region              = "eur3"         # of several regions
    erp_url             = "https://erp.example.com/?key=1"
    time_zone           = "Kyiv"
    admin_emails        = ["Ann <ann@example.com>"]
    integration_account = "calendars"
    oauth_client_id     = "GOCSPX-abcdef"  # the secret
    notify_secrets      = "whsec_TUFSS0VS" # short
    default_settings    = "[1]"
    console_url         = "http://calendars.example.com"
  }
  expect_failures = [
    var.project_id,
    var.region,
    var.erp_url,
    var.time_zone,
    var.admin_emails,
    var.integration_account,
    var.oauth_client_id,
    var.notify_secrets,
    var.default_settings,
    var.console_url,
  ]
}

run "refused_as_well" {
  command = plan
  variables {
    erp_url          = "http://erp.example.com" # unless allow_http_erp
    admin_emails     = ["ann@example.com, bob@example.com"]
    default_settings = "{"
    console_url      = "https://calendars.example.com/"
  }
  expect_failures = [
    var.erp_url,
    var.admin_emails,
    var.default_settings,
    var.console_url,
  ]
}

run "plain_http_where_allowed" {
  command = plan
  variables {
    erp_url        = "http://10.0.0.5:8080/erp"
    allow_http_erp = true
  }
  assert {
    condition     = google_cloudfunctions2_function.this["poll"].service_config[0].environment_variables["ALLOW_HTTP_ERP"] == "true"
    error_message = "allow_http_erp does not reach the functions."
  }
}

# The console's is compared with it, so it is not refused beside it.
run "oauth_with_path" {
  command = plan
  variables {
    oauth_url = "https://example.com/oauth"
  }
  expect_failures = [var.oauth_url]
}

run "one_origin_for_two" {
  command = plan
  variables {
    console_url = "https://calendars.example.com"
    oauth_url   = "https://calendars.example.com"
  }
  expect_failures = [var.console_url]
}

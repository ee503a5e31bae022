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

run "project_name" {
  command = plan
  variables {
    project_id = "Acme Calendars"
  }
  expect_failures = [var.project_id]
}

run "project_number" {
  command = plan
  variables {
    project_id = "123456789012"
  }
  expect_failures = [var.project_id]
}

run "zone" {
  command = plan
  variables {
    region = "europe-west1-b"
  }
  expect_failures = [var.region]
}

run "multi_region" {
  command = plan
  variables {
    region = "eur3"
  }
  expect_failures = [var.region]
}

run "erp_without_scheme" {
  command = plan
  variables {
    erp_url = "erp.example.com"
  }
  expect_failures = [var.erp_url]
}

run "erp_with_query" {
  command = plan
  variables {
    erp_url = "https://erp.example.com/?key=1"
  }
  expect_failures = [var.erp_url]
}

run "erp_plain_http" {
  command = plan
  variables {
    erp_url = "http://erp.example.com"
  }
  expect_failures = [var.erp_url]
}

run "zone_offset" {
  command = plan
  variables {
    time_zone = "+02:00"
  }
  expect_failures = [var.time_zone]
}

run "zone_city" {
  command = plan
  variables {
    time_zone = "Kyiv"
  }
  expect_failures = [var.time_zone]
}

run "no_admin" {
  command = plan
  variables {
    admin_emails = []
  }
  expect_failures = [var.admin_emails]
}

run "admin_with_name" {
  command = plan
  variables {
    admin_emails = ["Ann <ann@example.com>"]
  }
  expect_failures = [var.admin_emails]
}

run "admins_in_one" {
  command = plan
  variables {
    admin_emails = ["ann@example.com, bob@example.com"]
  }
  expect_failures = [var.admin_emails]
}

run "service_account_owner" {
  command = plan
  variables {
    integration_account = "x@acme.iam.gserviceaccount.com"
  }
  expect_failures = [var.integration_account]
}

run "owner_without_domain" {
  command = plan
  variables {
    integration_account = "calendars"
  }
  expect_failures = [var.integration_account]
}

run "client_name" {
  command = plan
  variables {
    oauth_client_id = "erp-calendar"
  }
  expect_failures = [var.oauth_client_id]
}

run "client_secret_as_id" {
  command = plan
  variables {
    oauth_client_id = "GOCSPX-abcdef"
  }
  expect_failures = [var.oauth_client_id]
}

run "erp_key_with_newline" {
  command = plan
  variables {
    erp_api_key = "abc\n"
  }
  expect_failures = [var.erp_api_key]
}

run "short_client_secret" {
  command = plan
  variables {
    oauth_client_secret = "abc"
  }
  expect_failures = [var.oauth_client_secret]
}

run "session_key_hex" {
  command = plan
  variables {
    session_key = "00112233445566778899aabbccddeeff"
  }
  expect_failures = [var.session_key]
}

run "webhook_secret_without_prefix" {
  command = plan
  variables {
    notify_secrets = "TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VS"
  }
  expect_failures = [var.notify_secrets]
}

run "webhook_secret_short" {
  command = plan
  variables {
    notify_secrets = "whsec_TUFSS0VS"
  }
  expect_failures = [var.notify_secrets]
}

run "version_zero" {
  command = plan
  variables {
    erp_api_key_version = 0
  }
  expect_failures = [var.erp_api_key_version]
}

run "version_fraction" {
  command = plan
  variables {
    session_key_version = 1.5
  }
  expect_failures = [var.session_key_version]
}

run "version_zero_oauth" {
  command = plan
  variables {
    oauth_client_secret_version = 0
  }
  expect_failures = [var.oauth_client_secret_version]
}

run "version_zero_notify" {
  command = plan
  variables {
    notify_secrets_version = 0
  }
  expect_failures = [var.notify_secrets_version]
}

run "settings_in_no_language" {
  command = plan
  variables {
    default_settings = "{\"language\":\"de\"}"
  }
  expect_failures = [var.default_settings]
}

run "settings_list" {
  command = plan
  variables {
    default_settings = "[1]"
  }
  expect_failures = [var.default_settings]
}

run "settings_broken" {
  command = plan
  variables {
    default_settings = "{"
  }
  expect_failures = [var.default_settings]
}

run "requests_zero" {
  command = plan
  variables {
    calendar_requests_per_minute = 0
  }
  expect_failures = [var.calendar_requests_per_minute]
}

run "calendars_many" {
  command = plan
  variables {
    calendars_per_hour = 61
  }
  expect_failures = [var.calendars_per_hour]
}

run "calendars_a_day_none" {
  command = plan
  variables {
    calendars_per_day = 0
  }
  expect_failures = [var.calendars_per_day]
}

run "shares_a_day_many" {
  command = plan
  variables {
    shares_per_day = 1001
  }
  expect_failures = [var.shares_per_day]
}

run "reconcile_cron" {
  command = plan
  variables {
    reconcile_at = "30 4 * * *"
  }
  expect_failures = [var.reconcile_at]
}

run "warm_many" {
  command = plan
  variables {
    notify_min_instances = 5
  }
  expect_failures = [var.notify_min_instances]
}

run "default_database" {
  command = plan
  variables {
    firestore_database = "(default)"
  }
  expect_failures = [var.firestore_database]
}

run "alerts_to_nobody" {
  command = plan
  variables {
    alert_emails = []
  }
  expect_failures = [var.alert_emails]
}

run "billing_name" {
  command = plan
  variables {
    billing_account = "My Billing Account"
  }
  expect_failures = [var.billing_account]
}

run "no_budget" {
  command = plan
  variables {
    monthly_budget = 0
  }
  expect_failures = [var.monthly_budget]
}

run "runbook_anchor" {
  command = plan
  variables {
    runbook_url = "https://example.com/#x"
  }
  expect_failures = [var.runbook_url]
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

run "console_with_path" {
  command = plan
  variables {
    console_url = "https://example.com/calendars"
  }
  expect_failures = [var.console_url]
}

run "console_plain_http" {
  command = plan
  variables {
    console_url = "http://calendars.example.com"
  }
  expect_failures = [var.console_url]
}

run "console_with_slash" {
  command = plan
  variables {
    console_url = "https://calendars.example.com/"
  }
  expect_failures = [var.console_url]
}

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

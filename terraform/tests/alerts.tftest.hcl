# One alert for each way to fail and for silence, with its runbook section.
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

run "alerts" {
  command = plan

  assert {
    condition = toset(concat(keys(google_monitoring_alert_policy.log), keys(google_monitoring_alert_policy.metric), keys(google_monitoring_alert_policy.absence))) == toset([
      "grant-revoked", "grant-expiring", "client-refused", "account-refused", "mark-unreadable", "deletions-held", "takeover-needed", "clock-wrong", "quota-exhausted", "full-run-missed", "erp-unreadable", "no-notifications", "cards-refused", "calendars-out-of-reach", "dead-letter-unreadable", "other-alarm", "scheduler-failed", "secret-read",
      "dead-letter", "dead-letter-stuck", "oldest-message-live", "oldest-message-bulk", "poll-missed",
    ])
    error_message = "The set of alerts has changed: change the runbook too."
  }
  assert {
    condition     = length([for key in keys(local.alert_mails) : key if !strcontains(file("README.md"), "\n### ${key}\n")]) == 0
    error_message = "An alert has no section of its name in README.md."
  }
  assert {
    condition     = alltrue([for text in ["${length(local.alert_mails)} alert policies", "Alerting: ${length(local.alert_mails)} conditions"] : strcontains(file("README.md"), text)])
    error_message = "README.md does not know how many alert policies there are, which cost something."
  }
  assert {
    condition     = length(setsubtract([for m in regexall("\n### ([a-z-]+)\n", file("README.md")) : m[0]], keys(local.alert_mails))) == 0
    error_message = "README.md has a runbook section without an alert."
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : [for l in p.documentation[0].links : l.url] == [local.public_url["console"], "${var.runbook_url}#${key}"] && alltrue([for l in p.documentation[0].links : strcontains(p.documentation[0].content, "[${l.display_name}](${l.url})")])])
    error_message = "An alert does not lead to the console and to its section."
  }
  assert {
    condition     = alltrue([for p in concat(values(google_monitoring_alert_policy.log), values(google_monitoring_alert_policy.metric), values(google_monitoring_alert_policy.absence), [google_monitoring_alert_policy.error_ratio]) : length(p.notification_channels) == 2])
    error_message = "An alert reaches nobody."
  }
  assert {
    condition     = alltrue([for kind in keys(local.alarm_kinds) : strcontains(google_monitoring_alert_policy.log[kind].conditions[0].condition_matched_log[0].filter, "jsonPayload.alarm=\"${kind}\"") && strcontains(google_monitoring_alert_policy.log[kind].conditions[0].condition_matched_log[0].filter, "NOT jsonPayload.ended=true")])
    error_message = "An alarm is not read by its kind, or its end is alarmed as well."
  }
  assert {
    condition     = alltrue([for kind in keys(local.alarm_kinds) : strcontains(google_monitoring_alert_policy.log["other-alarm"].conditions[0].condition_matched_log[0].filter, "\"${kind}\"")]) && strcontains(google_monitoring_alert_policy.log["other-alarm"].conditions[0].condition_matched_log[0].filter, "jsonPayload.alarm:*")
    error_message = "Alarms of other kinds are silent, or come twice."
  }
  assert {
    condition     = google_monitoring_alert_policy.absence["poll-missed"].conditions[0].condition_absent[0].duration == "1200s"
    error_message = "A poll that stays away is noticed after 20 minutes."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.absence : alltrue([for c in p.conditions : can(regex("^[0-9]+s$", c.condition_absent[0].duration)) && tonumber(trimsuffix(c.condition_absent[0].duration, "s")) <= 84600])])
    error_message = "Monitoring refuses to watch for a silence longer than 23 h 30 m (84,600 s)."
  }
  # An entry of the audit log is a stranger's unless it is by one that the row allows.
  assert {
    condition     = local.by_functions.reads == "protoPayload.authenticationInfo.principalEmail=(${join(" OR ", [for name in ["console", "notify", "oauth", "poll", "sync-employee", "sync-task"] : "\"fn-${name}@acme-calendars.iam.gserviceaccount.com\""])})" && local.by_functions.decrypts == "protoPayload.authenticationInfo.principalEmail=(${join(" OR ", [for name in ["sync-employee", "sync-task"] : "\"fn-${name}@acme-calendars.iam.gserviceaccount.com\""])})"
    error_message = "The functions that read secrets or decrypt would be alarmed, or others would not."
  }
  assert {
    condition     = alltrue([for part in ["AccessSecretVersion$", "NOT ${local.by_functions.reads}", "cloudkms.googleapis.com", "Decrypt", "NOT ${local.by_functions.decrypts}"] : strcontains(google_monitoring_alert_policy.log["secret-read"].conditions[0].condition_matched_log[0].filter, part)])
    error_message = "A stranger could read a secret, or open the refresh token, without an alert."
  }
  assert {
    condition     = toset(keys(google_project_iam_audit_config.secrets)) == toset(["secretmanager.googleapis.com", "cloudkms.googleapis.com"]) && alltrue([for k, a in google_project_iam_audit_config.secrets : a.service == k && contains([for c in a.audit_log_config : c.log_type], "DATA_READ")])
    error_message = "Nobody would see a secret being read or the key being used."
  }
  assert {
    condition     = !strcontains(local.requests_filter, "\"poll\"") && strcontains(local.requests_filter, "\"notify\"") && google_monitoring_alert_policy.error_ratio.conditions[0].condition_threshold[0].denominator_filter != ""
    error_message = "The error ratio is no ratio."
  }
  assert {
    condition     = google_monitoring_slo.freshness.windows_based_sli[0].metric_mean_in_range[0].range[0].max == 60 && length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) == 7
    error_message = "Freshness or the dashboard is not what the README says."
  }
  # The API leaves zeros out of a position, and every plan would bring them back.
  assert {
    condition     = length(regexall("\"[xy]Pos\":0", google_monitoring_dashboard.this.dashboard_json)) == 0
    error_message = "The dashboard has a position of zero: every plan would show a change."
  }
  assert {
    condition     = length(distinct([for t in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : "${try(t.xPos, 0)}/${try(t.yPos, 0)}"])) == 7
    error_message = "Tiles of the dashboard lie on each other."
  }
}

# Mails are in the language in which everything else of an installation is.
run "mails_in_english_by_default" {
  command = plan
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : alltrue([for text in values(jsondecode(file("../shared/i18n/texts/alarms.en.json")).alarm[key]) : strcontains(p.documentation[0].content, text)])])
    error_message = "An alert's mail does not say what it is, the likely cause and what to do."
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : p.display_name == "erp-calendar: ${jsondecode(file("../shared/i18n/texts/alarms.en.json")).alarm[key].title}" && p.documentation[0].subject == p.display_name && alltrue([for c in p.conditions : "erp-calendar: ${c.display_name}" == p.display_name])])
    error_message = "An alert's name or its mail's subject is in another language."
  }
}

run "mails_in_ukrainian" {
  command = plan
  variables {
    default_settings = "{\"language\":\"uk\"}"
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : alltrue([for text in values(jsondecode(file("../shared/i18n/texts/alarms.uk.json")).alarm[key]) : strcontains(p.documentation[0].content, text)])])
    error_message = "An alert's mail does not say what it is, the likely cause and what to do."
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : p.display_name == "erp-calendar: ${jsondecode(file("../shared/i18n/texts/alarms.uk.json")).alarm[key].title}" && p.documentation[0].subject == p.display_name && alltrue([for c in p.conditions : "erp-calendar: ${c.display_name}" == p.display_name])])
    error_message = "An alert's name or its mail's subject is in another language."
  }
}

run "mails_in_russian" {
  command = plan
  variables {
    default_settings = "{\"language\":\"ru\"}"
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : alltrue([for text in values(jsondecode(file("../shared/i18n/texts/alarms.ru.json")).alarm[key]) : strcontains(p.documentation[0].content, text)])])
    error_message = "An alert's mail does not say what it is, the likely cause and what to do."
  }
  assert {
    condition     = alltrue([for key, p in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.metric, google_monitoring_alert_policy.absence, { error-ratio = google_monitoring_alert_policy.error_ratio }) : p.display_name == "erp-calendar: ${jsondecode(file("../shared/i18n/texts/alarms.ru.json")).alarm[key].title}" && p.documentation[0].subject == p.display_name && alltrue([for c in p.conditions : "erp-calendar: ${c.display_name}" == p.display_name])])
    error_message = "An alert's name or its mail's subject is in another language."
  }
}

run "each_alert_in_each_language" {
  command = plan
  assert {
    condition     = toset(keys(local.alarm_texts)) == toset(["en", "uk", "ru"]) && alltrue([for texts in local.alarm_texts : toset(keys(texts.alarm)) == toset(keys(local.alert_mails))])
    error_message = "An alert has no text in a language, or a text has no alert."
  }
}

run "alert_emails_and_budget" {
  command = plan
  variables {
    alert_emails    = ["OnCall@example.com"]
    billing_account = "012345-6789AB-CDEF01"
    monthly_budget  = 40
  }
  assert {
    condition     = keys(google_monitoring_notification_channel.email) == ["oncall@example.com"]
    error_message = "alert_emails is not heard."
  }
  assert {
    condition     = google_billing_budget.this[0].amount[0].specified_amount[0].units == "40" && length(google_billing_budget.this[0].threshold_rules) == 3
    error_message = "The budget is not what was asked for."
  }
}

run "no_budget_by_default" {
  command = plan
  assert {
    condition     = length(google_billing_budget.this) == 0
    error_message = "A budget was made without a billing account."
  }
}

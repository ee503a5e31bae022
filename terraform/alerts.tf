# One alert for each way to fail and for silence. Keys are the anchors of the runbook
# sections in README.md (tests/alerts.tftest.hcl compares them). Alarms of the code are
# log entries with the fields `alarm` (its kind) and `incident`; `ended` marks the entry
# that ends one (shared/logging, rule 7.4).
locals {
  alert_emails = toset([for e in coalesce(var.alert_emails, var.admin_emails) : lower(e)])

  service_names = join(" OR ", [for name in sort(keys(local.functions)) : "\"${name}\""])
  alarm_filter  = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${local.service_names}) AND severity=\"ERROR\" AND NOT jsonPayload.ended=true"

  # Kinds of the code's alarms that have an alert of their own, and its severity; the others
  # come as other-alarm, so that a kind added later is never silent.
  alarm_kinds = {
    grant-revoked          = "CRITICAL"
    grant-expiring         = "WARNING"
    client-refused         = "CRITICAL"
    account-refused        = "CRITICAL"
    mark-unreadable        = "CRITICAL"
    deletions-held         = "WARNING"
    takeover-needed        = "CRITICAL"
    clock-wrong            = "CRITICAL"
    quota-exhausted        = "WARNING"
    full-run-missed        = "ERROR"
    erp-unreadable         = "WARNING"
    no-notifications       = "WARNING"
    cards-refused          = "WARNING"
    calendars-out-of-reach = "ERROR"
    dead-letter-unreadable = "ERROR"
  }

  # Filters of audit entries that are the functions' own.
  by_functions = { for what, names in {
    reads    = distinct([for r in local.reads : r.function])
    decrypts = distinct([for k in local.kms : k.function if k.role == "roles/cloudkms.cryptoKeyDecrypter"])
  } : what => "protoPayload.authenticationInfo.principalEmail=(${join(" OR ", [for name in sort(names) : "\"${local.function_email[name]}\""])})" }

  log_alerts = merge(
    { for kind, severity in local.alarm_kinds : kind => {
      severity = severity
      filter   = "${local.alarm_filter} AND jsonPayload.alarm=\"${kind}\""
      extract  = { incident = "EXTRACT(jsonPayload.incident)", function = "EXTRACT(resource.labels.service_name)" }
    } },
    {
      other-alarm = {
        severity = "ERROR"
        filter   = "${local.alarm_filter} AND jsonPayload.alarm:* AND NOT jsonPayload.alarm=(${join(" OR ", [for kind in sort(keys(local.alarm_kinds)) : "\"${kind}\""])})"
        extract  = { alarm = "EXTRACT(jsonPayload.alarm)", incident = "EXTRACT(jsonPayload.incident)", function = "EXTRACT(resource.labels.service_name)" }
      }
      scheduler-failed = {
        severity = "ERROR"
        # One late poll is nothing; poll-missed tells when they stay away.
        filter  = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=\"reconcile\" AND severity>=\"ERROR\""
        extract = { job = "EXTRACT(resource.labels.job_id)" }
      }
      secret-read = {
        severity = "CRITICAL"
        filter = join(" AND ", [
          "logName=\"projects/${var.project_id}/logs/cloudaudit.googleapis.com%2Fdata_access\"",
          "((${join(" AND ", [
            "protoPayload.serviceName=\"secretmanager.googleapis.com\"",
            "protoPayload.methodName=~\"AccessSecretVersion$\"",
            "protoPayload.resourceName=~\"/secrets/(${join("|", sort([for s in local.secrets : s.id]))})/\"",
            "NOT ${local.by_functions.reads}",
            ])}) OR (${join(" AND ", [
            "protoPayload.serviceName=\"cloudkms.googleapis.com\"",
            "protoPayload.methodName=~\"(Decrypt|AsymmetricDecrypt|RawDecrypt)$\"",
            "NOT ${local.by_functions.decrypts}",
          ])}))",
        ])
        extract = { who = "EXTRACT(protoPayload.authenticationInfo.principalEmail)", secret = "EXTRACT(protoPayload.resourceName)" }
      }
    },
  )

  metric_alerts = {
    dead-letter = {
      severity  = "ERROR"
      filter    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=one_of(\"sync-task\",\"sync-employee\") AND metric.type=\"pubsub.googleapis.com/subscription/dead_letter_message_count\""
      aligner   = "ALIGN_DELTA"
      reducer   = "REDUCE_SUM"
      threshold = 0
      duration  = "0s"
    }
    dead-letter-stuck = {
      severity  = "ERROR"
      filter    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"dead-letter\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      aligner   = "ALIGN_MIN"
      reducer   = "REDUCE_MAX"
      threshold = 0
      duration  = "900s"
    }
    oldest-message-live = {
      severity  = "ERROR"
      filter    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"sync-task\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      aligner   = "ALIGN_MIN"
      reducer   = "REDUCE_MAX"
      threshold = 600
      duration  = "300s"
    }
    oldest-message-bulk = {
      severity  = "WARNING"
      filter    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"sync-employee\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      aligner   = "ALIGN_MIN"
      reducer   = "REDUCE_MAX"
      threshold = 7200
      duration  = "900s"
    }
  }

  # Silence: 23.5 hours (84,600 s) at most, and only of what was there once. Hence only
  # the poll's, which tells itself what is missed more seldom (full-run-missed).
  absence_alerts = {
    poll-missed = {
      severity = "ERROR"
      filter   = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"poll\" AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"2xx\""
      duration = "1200s"
    }
  }

  # What the mails say: title, likely cause and cure of each alert stand beside all other
  # texts, in JSON because Terraform reads no TOML. Only what Google adds itself is English.
  alarm_texts = { for f in fileset("${path.module}/../shared/i18n/texts", "alarms.*.json") : split(".", f)[1] => jsondecode(file("${path.module}/../shared/i18n/texts/${f}")) }
  alarm_text  = local.alarm_texts[try(jsondecode(var.default_settings).language, "en")]

  alert_keys = concat(keys(local.log_alerts), keys(local.metric_alerts), keys(local.absence_alerts), ["error-ratio"])
  alert_mails = { for key in local.alert_keys : key => {
    subject = "erp-calendar: ${local.alarm_text.alarm[key].title}"
    title   = local.alarm_text.alarm[key].title
    content = join("\n\n", [
      "**${local.alarm_text.alarm[key].title}**",
      "**${local.alarm_text.alarm-mail.cause}.** ${local.alarm_text.alarm[key].cause}",
      "**${local.alarm_text.alarm-mail.do}.** ${local.alarm_text.alarm[key].do}",
      join("\n\n", [for l in local.alert_links[key] : "[${l.text}](${l.url})"]),
    ])
  } }
  alert_links = { for key in local.alert_keys : key => [
    { text = local.alarm_text.alarm-mail.console, url = local.public_url["console"] },
    { text = local.alarm_text.alarm-mail.more, url = "${var.runbook_url}#${key}" },
  ] }
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = local.alert_emails
  display_name = "erp-calendar: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
  depends_on   = [time_sleep.services]
}

resource "google_monitoring_alert_policy" "log" {
  for_each              = local.log_alerts
  display_name          = local.alert_mails[each.key].subject
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = [for e in sort(local.alert_emails) : google_monitoring_notification_channel.email[e].id]

  conditions {
    display_name = local.alert_mails[each.key].title
    condition_matched_log {
      filter           = each.value.filter
      label_extractors = each.value.extract
    }
  }
  alert_strategy {
    auto_close = "604800s"
    notification_rate_limit {
      period = "900s"
    }
  }
  documentation {
    subject   = local.alert_mails[each.key].subject
    content   = local.alert_mails[each.key].content
    mime_type = "text/markdown"
    dynamic "links" {
      for_each = local.alert_links[each.key]
      content {
        display_name = links.value.text
        url          = links.value.url
      }
    }
  }
}

resource "google_monitoring_alert_policy" "metric" {
  for_each              = local.metric_alerts
  display_name          = local.alert_mails[each.key].subject
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = [for e in sort(local.alert_emails) : google_monitoring_notification_channel.email[e].id]

  conditions {
    display_name = local.alert_mails[each.key].title
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = each.value.duration
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = ["resource.label.subscription_id"]
      }
    }
  }
  alert_strategy {
    auto_close = "604800s"
  }
  documentation {
    subject   = local.alert_mails[each.key].subject
    content   = local.alert_mails[each.key].content
    mime_type = "text/markdown"
    dynamic "links" {
      for_each = local.alert_links[each.key]
      content {
        display_name = links.value.text
        url          = links.value.url
      }
    }
  }
}

resource "google_monitoring_alert_policy" "absence" {
  for_each              = local.absence_alerts
  display_name          = local.alert_mails[each.key].subject
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = [for e in sort(local.alert_emails) : google_monitoring_notification_channel.email[e].id]

  conditions {
    display_name = local.alert_mails[each.key].title
    condition_absent {
      filter   = each.value.filter
      duration = each.value.duration
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
  alert_strategy {
    auto_close = "604800s"
  }
  documentation {
    subject   = local.alert_mails[each.key].subject
    content   = local.alert_mails[each.key].content
    mime_type = "text/markdown"
    dynamic "links" {
      for_each = local.alert_links[each.key]
      content {
        display_name = links.value.text
        url          = links.value.url
      }
    }
  }
}

# Poll and Reconcile are called too seldom for a ratio; their silence is alerted above.
resource "google_monitoring_alert_policy" "error_ratio" {
  display_name          = local.alert_mails["error-ratio"].subject
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = [for e in sort(local.alert_emails) : google_monitoring_notification_channel.email[e].id]

  conditions {
    display_name = local.alert_mails["error-ratio"].title
    condition_threshold {
      filter             = "${local.requests_filter} AND metric.labels.response_code_class=\"5xx\""
      denominator_filter = local.requests_filter
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.1
      duration           = "900s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }
  alert_strategy {
    auto_close = "604800s"
  }
  documentation {
    subject   = local.alert_mails["error-ratio"].subject
    content   = local.alert_mails["error-ratio"].content
    mime_type = "text/markdown"
    dynamic "links" {
      for_each = local.alert_links["error-ratio"]
      content {
        display_name = links.value.text
        url          = links.value.url
      }
    }
  }
}

locals {
  requests_filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=one_of(${join(",", [for name in sort(keys(local.functions)) : "\"${name}\"" if !contains(["poll", "reconcile"], name)])}) AND metric.type=\"run.googleapis.com/request_count\""
}

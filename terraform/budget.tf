# Optional: tells before the bill does. A budget stops nothing.
resource "google_billing_budget" "this" {
  count           = var.billing_account == null ? 0 : 1
  billing_account = var.billing_account
  display_name    = "erp-calendar (${var.project_id})"

  budget_filter {
    projects        = ["projects/${data.google_project.this.number}"]
    calendar_period = "MONTH"
  }
  amount {
    specified_amount {
      units = tostring(var.monthly_budget) # in the account's own currency
    }
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  all_updates_rule {
    monitoring_notification_channels = [for e in slice(sort(local.alert_emails), 0, min(5, length(local.alert_emails))) : google_monitoring_notification_channel.email[e].id]
    disable_default_iam_recipients   = false
  }
  depends_on = [time_sleep.services]
}

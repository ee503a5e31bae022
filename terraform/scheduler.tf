# The two clocks. The nightly run is by the ERP's zone; the poll has none.
locals {
  jobs = {
    poll = {
      schedule  = "*/5 * * * *"
      time_zone = "Etc/UTC"
      deadline  = local.functions["poll"].timeout
      retries   = 0 # the next poll is near, and finds the same changes
    }
    reconcile = {
      schedule  = "${tonumber(substr(var.reconcile_at, 3, 2))} ${tonumber(substr(var.reconcile_at, 0, 2))} * * *"
      time_zone = var.time_zone
      deadline  = local.functions["reconcile"].timeout
      retries   = 5
    }
  }
}

resource "google_cloud_scheduler_job" "this" {
  for_each         = local.jobs
  name             = each.key
  region           = var.region
  schedule         = each.value.schedule
  time_zone        = each.value.time_zone
  attempt_deadline = "${each.value.deadline}s"

  retry_config {
    retry_count          = each.value.retries
    min_backoff_duration = "10s"
    max_backoff_duration = "600s"
    max_doublings        = 5
  }

  # The run.app address: ingress from inside the project counts only there (shared/googlecalendar/README.md).
  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.this[each.key].service_config[0].uri}/"
    oidc_token {
      service_account_email = local.scheduler_email
      audience              = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

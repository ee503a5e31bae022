# Who may call which function (ingress itself is in functions.tf). Roles go on the
# Cloud Run service beneath a function; it has the function's name.
locals {
  invokers = {
    notify        = "allUsers" # proven by the webhook's signature
    oauth         = "allUsers" # a browser
    console       = "allUsers" # a browser; sign-in and allow-list in the code
    sync-task     = "serviceAccount:${local.push_email}"
    sync-employee = "serviceAccount:${local.push_email}"
    dead-letter   = "serviceAccount:${local.push_email}"
    reconcile     = "serviceAccount:${local.scheduler_email}"
    poll          = "serviceAccount:${local.scheduler_email}"
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = { for name, member in local.invokers : name => member if member != "allUsers" || var.allow_all_users }
  location = var.region
  name     = google_cloudfunctions2_function.this[each.key].name
  role     = "roles/run.invoker"
  member   = each.value

  # A function that is replaced takes its service's roles along: they come back in the
  # same apply.
  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.this[each.key].id]
  }
}

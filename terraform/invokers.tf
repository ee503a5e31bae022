# Who may call which function (ingress itself is in functions.tf). Roles go on the
# Cloud Run service beneath a function; it has the function's name.
locals {
  invokers = {
    notify        = "allUsers" # proven by the webhook's signature
    oauth         = "allUsers" # a browser
    console       = "allUsers" # a browser; sign-in and allow-list in the code
    sync-task     = google_service_account.push.member
    sync-employee = google_service_account.push.member
    dead-letter   = google_service_account.push.member
    reconcile     = google_service_account.scheduler.member
    poll          = google_service_account.scheduler.member
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.invokers
  location = var.region
  name     = google_cloudfunctions2_function.this[each.key].name
  role     = "roles/run.invoker"
  member   = each.value
}

# Topics, and push subscriptions of our own: Eventarc's can be neither dead-lettered
# nor tuned (shared/googlecalendar/README.md).
locals {
  topics = {
    task        = "task-changes"
    employee    = "employee-changes"
    dead-letter = "dead-letters"
  }

  # The names tell DeadLetter whose message gave up (functions/deadletter).
  subscriptions = {
    sync-task     = "task"
    sync-employee = "employee"
  }

  # Enabling Pub/Sub does not make it, and a grant to one that is not there fails:
  # scripts/deploy makes it before an apply (README, step 6).
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "this" {
  for_each   = local.topics
  name       = each.value
  depends_on = [time_sleep.services]
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_subscription" "worker" {
  for_each             = local.subscriptions
  name                 = each.key
  topic                = google_pubsub_topic.this[each.value].id
  ack_deadline_seconds = 600 # the longest; above each worker's time-out, so that no message is pushed twice at once

  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    oidc_token {
      service_account_email = local.push_email
      audience              = google_cloudfunctions2_function.this[each.key].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.this["dead-letter"].id
    max_delivery_attempts = 100
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

# A dead-letter topic without a subscription would drop what it gets.
resource "google_pubsub_subscription" "dead_letter" {
  name                 = "dead-letter"
  topic                = google_pubsub_topic.this["dead-letter"].id
  ack_deadline_seconds = 600

  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.this["dead-letter"].service_config[0].uri
    oidc_token {
      service_account_email = local.push_email
      audience              = google_cloudfunctions2_function.this["dead-letter"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

# The service agent moves dead letters: it publishes them and takes them off the
# subscription they come from.
resource "google_pubsub_topic_iam_member" "agent_publishes" {
  topic      = google_pubsub_topic.this["dead-letter"].id
  role       = "roles/pubsub.publisher"
  member     = local.pubsub_agent
  depends_on = [google_pubsub_topic.this]
}

resource "google_pubsub_subscription_iam_member" "agent_acknowledges" {
  for_each     = local.subscriptions
  subscription = google_pubsub_subscription.worker[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

# It signs pushes as the push account. Projects made since April 2021 grant it that by
# themselves; older ones need it said.
resource "google_service_account_iam_member" "agent_signs" {
  service_account_id = "projects/${var.project_id}/serviceAccounts/${local.push_email}"
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
  depends_on         = [google_pubsub_topic.this]
}

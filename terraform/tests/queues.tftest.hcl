# Topics, subscriptions, dead letters, clocks.
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

# Its key may not be destroyed, and a test destroys what it made.
override_module {
  target = module.key
  outputs = {
    id              = "projects/acme-calendars/locations/europe-west1/keyRings/r/cryptoKeys/k"
    ring            = "r"
    rotation_period = ""
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
  erp_api_key         = "k"
  oauth_client_secret = "12345678"
  session_key         = "TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUE="
  notify_secrets      = "whsec_TUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUFSS0VSTUE="
}

run "subscriptions" {
  command = apply

  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.worker), [google_pubsub_subscription.dead_letter]) : s.retry_policy[0].minimum_backoff == "10s" && s.retry_policy[0].maximum_backoff == "600s"])
    error_message = "The back-off is 10 to 600 s."
  }
  assert {
    condition     = alltrue([for s in google_pubsub_subscription.worker : s.dead_letter_policy[0].max_delivery_attempts == 100 && s.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.this["dead-letter"].id])
    error_message = "After 100 attempts a message goes to the dead letters (rule 7.2)."
  }
  assert {
    condition     = length(google_pubsub_subscription.dead_letter.dead_letter_policy) == 0 && google_pubsub_subscription.dead_letter.topic == google_pubsub_topic.this["dead-letter"].id
    error_message = "The dead letters have a subscription of their own, without a policy."
  }
  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.worker), [google_pubsub_subscription.dead_letter]) : s.expiration_policy[0].ttl == ""])
    error_message = "A subscription expires by itself."
  }
  assert {
    condition     = alltrue([for k, s in google_pubsub_subscription.worker : s.ack_deadline_seconds > google_cloudfunctions2_function.this[k].service_config[0].timeout_seconds])
    error_message = "A message is pushed again while a worker still has it."
  }
  assert {
    condition     = google_pubsub_subscription.worker["sync-task"].topic == google_pubsub_topic.this["task"].id && google_pubsub_subscription.worker["sync-employee"].topic == google_pubsub_topic.this["employee"].id
    error_message = "A worker listens to the other's topic."
  }
  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.worker), [google_pubsub_subscription.dead_letter]) : s.push_config[0].oidc_token[0].service_account_email == "pubsub-push@acme-calendars.iam.gserviceaccount.com" && s.push_config[0].oidc_token[0].audience == s.push_config[0].push_endpoint])
    error_message = "A push is not signed for the address it goes to."
  }
  # DeadLetter tells by the name whose message gave up.
  assert {
    condition     = google_pubsub_subscription.worker["sync-task"].name == "sync-task" && google_pubsub_subscription.worker["sync-employee"].name == "sync-employee"
    error_message = "DeadLetter needs these names."
  }
}

run "dead_letter_grants" {
  command = apply
  assert {
    condition     = google_pubsub_topic_iam_member.agent_publishes.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.agent_publishes.topic == google_pubsub_topic.this["dead-letter"].id && toset(keys(google_pubsub_subscription_iam_member.agent_acknowledges)) == toset(["sync-task", "sync-employee"])
    error_message = "Without these grants dead letters stay where they are."
  }
  assert {
    condition     = alltrue([for m in concat([google_pubsub_topic_iam_member.agent_publishes.member, google_service_account_iam_member.agent_signs.member], [for g in google_pubsub_subscription_iam_member.agent_acknowledges : g.member]) : m == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"])
    error_message = "The grants are not the Pub/Sub service agent's."
  }
}

run "clocks" {
  command = apply
  variables {
    reconcile_at = "04:05"
  }
  assert {
    condition     = google_cloud_scheduler_job.this["poll"].schedule == "*/5 * * * *" && google_cloud_scheduler_job.this["reconcile"].schedule == "5 4 * * *"
    error_message = "The poll runs every 5 minutes, the full run once a night."
  }
  assert {
    condition     = google_cloud_scheduler_job.this["reconcile"].time_zone == "Europe/Kyiv"
    error_message = "The night is the ERP's."
  }
  assert {
    condition     = alltrue([for k, j in google_cloud_scheduler_job.this : j.http_target[0].http_method == "POST" && j.http_target[0].oidc_token[0].service_account_email == "scheduler-jobs@acme-calendars.iam.gserviceaccount.com" && j.http_target[0].uri == "${j.http_target[0].oidc_token[0].audience}/" && j.attempt_deadline == "${google_cloudfunctions2_function.this[k].service_config[0].timeout_seconds}s"])
    error_message = "A job is not a signed POST to its function's own address."
  }
}

run "state" {
  command = apply
  assert {
    condition     = google_firestore_database.this.type == "FIRESTORE_NATIVE" && google_firestore_database.this.name == "erp-calendar" && google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.this.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED"
    error_message = "The database is not protected."
  }
  assert {
    condition     = toset([for k, f in google_firestore_field.ttl : "${f.collection}.${f.field}" if length(f.ttl_config) == 1]) == toset(["sign_ins.expires_at", "tickets.expires_at", "sessions.expires_at", "activity.expires_at", "runs.expires_at", "run_parts.expires_at", "days.expires_at"])
    error_message = "Something that expires is kept for good."
  }
  assert {
    condition     = length(setsubtract(["accounts.sealed", "polls.shown", "polls.changed", "polls.hashes", "tasks.announced", "tasks.mappings"], [for f in google_firestore_field.unindexed : "${f.collection}.${f.field}" if length(f.index_config) == 1 && length(f.index_config[0].indexes) == 0])) == 0
    error_message = "Ciphertext or a growing map is indexed."
  }
  assert {
    condition     = length(setsubtract(["firestore.googleapis.com", "calendar-json.googleapis.com", "cloudkms.googleapis.com", "secretmanager.googleapis.com", "pubsub.googleapis.com", "run.googleapis.com", "cloudfunctions.googleapis.com", "cloudbuild.googleapis.com", "artifactregistry.googleapis.com", "cloudscheduler.googleapis.com", "monitoring.googleapis.com", "logging.googleapis.com"], keys(google_project_service.this))) == 0
    error_message = "An API that the installation needs is not enabled."
  }
}

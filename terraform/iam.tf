# Who may do what. One service account per function, with what its row of
# local.functions names and nothing else; two more for those that call functions.
locals {
  # Known at plan, so that the alert on secrets being read can name them.
  function_email = { for name in keys(local.functions) : name => "fn-${name}@${var.project_id}.iam.gserviceaccount.com" }

  # One row per grant: "notify/task" and so on.
  publishes = merge([for name, f in local.functions : { for topic in f.publishes : "${name}/${topic}" => { function = name, topic = topic } }]...)
  reads     = merge([for name, f in local.functions : { for secret in f.secrets : "${name}/${secret}" => { function = name, secret = secret } }]...)
  kms       = merge([for name, f in local.functions : { for role in f.kms : "${name}/${role}" => { function = name, role = role } }]...)
}

resource "google_service_account" "function" {
  for_each     = local.functions
  account_id   = "fn-${each.key}"
  display_name = "${each.value.entry_point}: ${each.value.about}"
  depends_on   = [time_sleep.services]
}

# Firestore grants roles on a project only; the condition narrows them to the database.
resource "google_project_iam_member" "firestore" {
  for_each = { for name, f in local.functions : name => f.firestore if f.firestore != null }
  project  = var.project_id
  role     = each.value
  member   = google_service_account.function[each.key].member
  condition {
    title      = "only-${var.firestore_database}"
    expression = "resource.name == \"projects/${var.project_id}/databases/${var.firestore_database}\""
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishes
  topic    = google_pubsub_topic.this[each.value.topic].id
  role     = "roles/pubsub.publisher"
  member   = google_service_account.function[each.value.function].member
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each  = local.reads
  secret_id = google_secret_manager_secret.this[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}

resource "google_kms_crypto_key_iam_member" "tokens" {
  for_each      = local.kms
  crypto_key_id = module.key.id
  role          = each.value.role
  member        = google_service_account.function[each.value.function].member
}

# Those that call: Pub/Sub's pushes and Scheduler's jobs sign as these.
resource "google_service_account" "push" {
  account_id   = "pubsub-push"
  display_name = "Pub/Sub push subscriptions"
  depends_on   = [time_sleep.services]
}

resource "google_service_account" "scheduler" {
  account_id   = "scheduler-jobs"
  display_name = "Scheduler jobs"
  depends_on   = [time_sleep.services]
}

# A grant takes a minute or two to be in force everywhere.
resource "time_sleep" "grants" {
  create_duration = "90s"
  triggers = {
    grants = sha256(jsonencode([keys(local.publishes), keys(local.reads), keys(local.kms), local.build_roles]))
  }
  depends_on = [
    google_project_iam_member.firestore,
    google_pubsub_topic_iam_member.publisher,
    google_secret_manager_secret_iam_member.accessor,
    google_kms_crypto_key_iam_member.tokens,
    google_project_iam_member.build,
    google_artifact_registry_repository_iam_member.build,
    google_storage_bucket_iam_member.build,
  ]
}

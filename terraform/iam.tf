# Who may do what. One service account per function, with what its row of
# local.functions names and nothing else; two more for those that call functions.
#
# A member is built from the account's own id and not from an attribute that only Google
# fills in: so every grant is known at plan, can be tested, and is checked by the provider
# before anything is made. The reference to account_id keeps the order.
locals {
  # For the alert on secrets being read.
  function_email = { for name in keys(local.functions) : name => "fn-${name}@${local.account_domain}" }

  account_domain  = "${var.project_id}.iam.gserviceaccount.com"
  function_member = { for name, a in google_service_account.function : name => "serviceAccount:${a.account_id}@${local.account_domain}" }
  build_member    = "serviceAccount:${google_service_account.build.account_id}@${local.account_domain}"
  push_email      = "${google_service_account.push.account_id}@${local.account_domain}"
  scheduler_email = "${google_service_account.scheduler.account_id}@${local.account_domain}"

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
  member   = local.function_member[each.key]
  condition {
    title      = "only-${var.firestore_database}"
    expression = "resource.name == \"projects/${var.project_id}/databases/${var.firestore_database}\""
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishes
  topic    = google_pubsub_topic.this[each.value.topic].id
  role     = "roles/pubsub.publisher"
  member   = local.function_member[each.value.function]
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each  = local.reads
  secret_id = google_secret_manager_secret.this[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.function_member[each.value.function]
}

resource "google_kms_crypto_key_iam_member" "tokens" {
  for_each      = local.kms
  crypto_key_id = module.key.id
  role          = each.value.role
  member        = local.function_member[each.value.function]
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

# A grant is in force everywhere after "typically 2 minutes, potentially 7 minutes or
# longer" (Google's words), and what it is on is part of it: another database needs the
# wait as much as another role.
resource "time_sleep" "grants" {
  create_duration = "240s"
  triggers = {
    grants = sha256(jsonencode([var.firestore_database, keys(local.publishes), keys(local.reads), keys(local.kms), local.build_roles]))
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

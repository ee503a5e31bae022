# Each function has what its code uses and nothing else.
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

run "grants" {
  command = apply

  assert {
    condition = { for name, g in google_project_iam_member.firestore : name => g.role } == {
      notify        = "roles/datastore.viewer"
      oauth         = "roles/datastore.user"
      console       = "roles/datastore.user"
      sync-task     = "roles/datastore.user"
      sync-employee = "roles/datastore.user"
      poll          = "roles/datastore.user"
      dead-letter   = "roles/datastore.user"
    }
    error_message = "Firestore: Notify only reads, Reconcile has nothing."
  }
  assert {
    condition = alltrue([for g in google_project_iam_member.firestore :
    g.condition[0].expression == "resource.name == \"projects/acme-calendars/databases/erp-calendar\""])
    error_message = "A grant reaches beyond the installation's own database."
  }
  assert {
    condition = toset(keys(google_pubsub_topic_iam_member.publisher)) == toset([
      "notify/task", "notify/employee", "oauth/employee", "console/task", "console/employee",
      "sync-task/employee", "sync-employee/employee", "reconcile/employee", "poll/task", "poll/employee",
    ])
    error_message = "Topics: who publishes where has changed."
  }
  assert {
    condition = toset(keys(google_secret_manager_secret_iam_member.accessor)) == toset([
      "notify/NOTIFY_SECRETS", "oauth/OAUTH_CLIENT_SECRET", "console/ERP_API_KEY", "console/SESSION_KEY",
      "sync-task/ERP_API_KEY", "sync-task/OAUTH_CLIENT_SECRET", "sync-employee/ERP_API_KEY", "sync-employee/OAUTH_CLIENT_SECRET",
      "poll/ERP_API_KEY",
    ])
    error_message = "Secrets: who reads which has changed."
  }
  assert {
    condition = toset(keys(google_kms_crypto_key_iam_member.tokens)) == toset([
      "oauth/roles/cloudkms.cryptoKeyEncrypter",
      "sync-task/roles/cloudkms.cryptoKeyDecrypter", "sync-employee/roles/cloudkms.cryptoKeyDecrypter",
    ])
    error_message = "KMS: only OAuth encrypts, only the workers decrypt."
  }
  # The grant in a row is really that function's, and on that thing.
  assert {
    condition = alltrue(concat(
      [for k, g in google_project_iam_member.firestore : g.member == "serviceAccount:${local.function_email[k]}"],
      [for k, g in google_pubsub_topic_iam_member.publisher : g.member == "serviceAccount:${local.function_email[split("/", k)[0]]}" && g.topic == google_pubsub_topic.this[split("/", k)[1]].id],
      [for k, g in google_secret_manager_secret_iam_member.accessor : g.member == "serviceAccount:${local.function_email[split("/", k)[0]]}" && g.secret_id == google_secret_manager_secret.this[split("/", k)[1]].id],
      [for k, g in google_kms_crypto_key_iam_member.tokens : g.member == "serviceAccount:${local.function_email[split("/", k)[0]]}"],
    ))
    error_message = "A grant went to another function than its row says."
  }
  assert {
    condition     = alltrue([for g in google_secret_manager_secret_iam_member.accessor : g.role == "roles/secretmanager.secretAccessor"]) && alltrue([for g in google_pubsub_topic_iam_member.publisher : g.role == "roles/pubsub.publisher"])
    error_message = "A grant is wider than reading one secret or publishing to one topic."
  }
  assert {
    condition     = length(distinct([for name, f in google_cloudfunctions2_function.this : f.service_config[0].service_account_email])) == 8 && alltrue([for name, f in google_cloudfunctions2_function.this : f.service_config[0].service_account_email == "fn-${name}@acme-calendars.iam.gserviceaccount.com"])
    error_message = "Each function runs as its own service account."
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : f.build_config[0].service_account == "projects/acme-calendars/serviceAccounts/function-build@acme-calendars.iam.gserviceaccount.com"])
    error_message = "Builds do not run as the build account."
  }
  assert {
    condition     = toset([for g in google_project_iam_member.build : g.role]) == toset(["roles/logging.logWriter", "roles/storage.objectViewer"]) && google_project_iam_member.build["roles/storage.objectViewer"].condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-\")"
    error_message = "The build account may do more than read function sources and log."
  }
}

run "invokers_and_ingress" {
  command = apply

  assert {
    condition     = toset([for k, g in google_cloud_run_v2_service_iam_member.invoker : k if g.member == "allUsers"]) == toset(["notify", "oauth", "console"])
    error_message = "Only Notify, OAuth and Console may be called by everybody."
  }
  assert {
    condition     = toset([for k, f in google_cloudfunctions2_function.this : k if f.service_config[0].ingress_settings == "ALLOW_ALL"]) == toset(["notify", "oauth", "console"])
    error_message = "Only Notify, OAuth and Console may be reached from outside."
  }
  assert {
    condition     = alltrue([for k, f in google_cloudfunctions2_function.this : contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY"], f.service_config[0].ingress_settings)])
    error_message = "A function's ingress is neither of the two."
  }
  assert {
    condition     = alltrue([for k in ["sync-task", "sync-employee", "dead-letter"] : google_cloud_run_v2_service_iam_member.invoker[k].member == "serviceAccount:pubsub-push@acme-calendars.iam.gserviceaccount.com"]) && alltrue([for k in ["poll", "reconcile"] : google_cloud_run_v2_service_iam_member.invoker[k].member == "serviceAccount:scheduler-jobs@acme-calendars.iam.gserviceaccount.com"])
    error_message = "Workers are called by Pub/Sub's pushes, Poll and Reconcile by Scheduler."
  }
  assert {
    condition     = alltrue([for g in google_cloud_run_v2_service_iam_member.invoker : g.role == "roles/run.invoker"])
    error_message = "An invoker may do more than invoke."
  }
}

# The providers check members and account ids when they are known, and an apply with
# mocks would hand them random strings: whatever is unknown in a plan fails these.
run "members_are_known_at_plan" {
  command = plan

  assert {
    condition = alltrue([for member in concat(
      [for g in google_project_iam_member.firestore : g.member],
      [for g in google_project_iam_member.build : g.member],
      [for g in google_pubsub_topic_iam_member.publisher : g.member],
      [for g in google_secret_manager_secret_iam_member.accessor : g.member],
      [for g in google_kms_crypto_key_iam_member.tokens : g.member],
      [for g in google_cloud_run_v2_service_iam_member.invoker : g.member],
      [for g in google_pubsub_subscription_iam_member.agent_acknowledges : g.member],
      [google_storage_bucket_iam_member.build.member, google_artifact_registry_repository_iam_member.build.member, google_pubsub_topic_iam_member.agent_publishes.member, google_service_account_iam_member.agent_signs.member],
    ) : can(regex("^(allUsers|serviceAccount:([a-z][a-z0-9-]{4,28}[a-z0-9]@acme-calendars|service-123456789012@gcp-sa-pubsub)[.]iam[.]gserviceaccount[.]com)$", member))])
    error_message = "A grant's member is not a service account's address, nor allUsers."
  }
  assert {
    condition     = google_service_account_iam_member.agent_signs.service_account_id == "projects/acme-calendars/serviceAccounts/pubsub-push@acme-calendars.iam.gserviceaccount.com"
    error_message = "The account that Pub/Sub signs as is not known at plan."
  }
}

run "waits" {
  command = plan
  variables {
    firestore_database = "another"
  }
  assert {
    condition     = time_sleep.grants.create_duration == "240s" && time_sleep.services.create_duration == "90s"
    error_message = "Google needs minutes to make grants and APIs known everywhere."
  }
  assert {
    condition     = time_sleep.grants.triggers["grants"] == sha256(jsonencode(["another", keys(local.publishes), keys(local.reads), keys(local.kms), local.build_roles]))
    error_message = "Grants on another database are not waited for."
  }
}

run "where_all_users_is_refused" {
  command = plan
  variables {
    allow_all_users = false
  }
  assert {
    condition     = length([for g in google_cloud_run_v2_service_iam_member.invoker : g if g.member == "allUsers"]) == 0 && length(google_cloud_run_v2_service_iam_member.invoker) == 5
    error_message = "allUsers is granted something, or a worker lost its caller."
  }
}

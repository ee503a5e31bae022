# The table of functions and their deployment. Everything that a function is given
# (environment, secrets, roles, topics) is a column here, derived from the groups of
# shared/config that its FromEnvironment embeds and from what it calls; the other
# files only read this table. tests/ holds it to least privilege.
locals {
  functions = {
    notify = {
      entry_point = "Notify"
      about       = "takes the ERP's signed notifications, shows the calendar card and the status"
      public      = true
      environment = ["store", "topics", "settings"]
      secrets     = ["NOTIFY_SECRETS"]
      firestore   = "roles/datastore.viewer" # the card
      publishes   = ["task", "employee"]
      kms         = []
      calls_erp   = false
      memory      = "256Mi"
      timeout     = 30
      instances   = 10
      concurrency = 40
    }
    oauth = {
      entry_point = "OAuth"
      about       = "admin sign-in and the central account's consent"
      public      = true
      environment = ["store", "oauth_client", "sites", "admins", "token_key", "topics"]
      secrets     = ["OAUTH_CLIENT_SECRET"]
      firestore   = "roles/datastore.user"
      publishes   = ["employee"]
      kms         = ["roles/cloudkms.cryptoKeyEncrypter"] # the only one that seals; it opens nothing
      calls_erp   = false
      memory      = "256Mi"
      timeout     = 60
      instances   = 2
      concurrency = 20
    }
    console = {
      entry_point = "Console"
      about       = "status, settings, employees, actions"
      public      = true
      environment = ["store", "erp", "sites", "admins", "alerts", "topics", "budget", "settings"]
      secrets     = ["ERP_API_KEY", "SESSION_KEY"]
      firestore   = "roles/datastore.user"
      publishes   = ["task", "employee"]
      kms         = []
      calls_erp   = true
      memory      = "256Mi"
      timeout     = 60
      instances   = 2
      concurrency = 20
    }
    sync-task = {
      entry_point = "SyncTask"
      about       = "makes tasks' events right: the live lane"
      public      = false
      environment = ["store", "erp", "oauth_client", "guide", "token_key", "topics", "budget", "settings"]
      secrets     = ["ERP_API_KEY", "OAUTH_CLIENT_SECRET"]
      firestore   = "roles/datastore.user"
      publishes   = ["employee"]
      kms         = ["roles/cloudkms.cryptoKeyDecrypter"]
      calls_erp   = true
      memory      = "512Mi"
      timeout     = 300
      instances   = 10 # rule 7.3
      concurrency = 8
    }
    sync-employee = {
      entry_point = "SyncEmployee"
      about       = "makes employees' calendars right, fills and audits them: the bulk lane"
      public      = false
      environment = ["store", "erp", "oauth_client", "guide", "token_key", "topics", "budget", "settings"]
      secrets     = ["ERP_API_KEY", "OAUTH_CLIENT_SECRET"]
      firestore   = "roles/datastore.user"
      publishes   = ["employee"]
      kms         = ["roles/cloudkms.cryptoKeyDecrypter"]
      calls_erp   = true
      memory      = "512Mi"
      timeout     = 540 # it works at most 240 s on a message, then finishes what it began
      instances   = 2   # rule 7.3
      concurrency = 4
    }
    reconcile = {
      entry_point = "Reconcile"
      about       = "starts the nightly full run"
      public      = false
      environment = ["store", "topics"]
      secrets     = []
      firestore   = null # it only publishes
      publishes   = ["employee"]
      kms         = []
      calls_erp   = false
      memory      = "256Mi"
      timeout     = 60
      instances   = 1
      concurrency = 1
    }
    poll = {
      entry_point = "Poll"
      about       = "finds changes nobody told, brings up what is due"
      public      = false
      environment = ["store", "erp", "topics", "settings"]
      secrets     = ["ERP_API_KEY"]
      firestore   = "roles/datastore.user"
      publishes   = ["task", "employee"]
      kms         = []
      calls_erp   = true
      memory      = "512Mi"
      timeout     = 540
      instances   = 1 # one watermark: two polls at once would only repeat each other
      concurrency = 1
    }
    dead-letter = {
      entry_point = "DeadLetter"
      about       = "records what gave up, for the console to show and retry"
      public      = false
      environment = ["store", "topics"]
      secrets     = []
      firestore   = "roles/datastore.user"
      publishes   = []
      kms         = []
      calls_erp   = false
      memory      = "256Mi"
      timeout     = 60
      instances   = 2
      concurrency = 4
    }
  }

  # Known before anything exists (shared/googlecalendar/README.md), so that OAuth and Console can carry
  # each other's address without a cycle; and each an origin of its own, so that a hole
  # in one does not read the others' cookies and pages.
  run_url = { for name, f in local.functions : name => "https://${name}-${data.google_project.this.number}.${var.region}.run.app" if f.public }
  public_url = merge(local.run_url, {
    oauth   = coalesce(var.oauth_url, local.run_url["oauth"])
    console = coalesce(var.console_url, local.run_url["console"])
  })

  # With fixed egress the first connections of a new instance may take a minute and more
  # (Google's words): workers repeat, an admin before the console would see errors.
  min_instances = {
    notify  = var.notify_min_instances
    console = var.fixed_egress_address ? 1 : 0
  }

  # The groups of shared/config. LEASE_SECONDS and its like are for tests, and where
  # Google is has defaults; neither is set here.
  environment = {
    store = {
      GOOGLE_CLOUD_PROJECT = var.project_id
      FIRESTORE_DATABASE   = var.firestore_database
    }
    erp = {
      ERP_URL          = trimsuffix(var.erp_url, "/")
      ERP_KEY_IN_QUERY = tostring(var.erp_key_in_query)
      ALLOW_HTTP_ERP   = tostring(var.allow_http_erp)
    }
    oauth_client = { OAUTH_CLIENT_ID = var.oauth_client_id }
    sites = {
      OAUTH_URL   = local.public_url["oauth"]
      CONSOLE_URL = local.public_url["console"]
    }
    guide = { CONSOLE_URL = local.public_url["console"] }
    admins = {
      ADMIN_EMAILS        = join(",", var.admin_emails)
      INTEGRATION_ACCOUNT = var.integration_account
    }
    alerts    = { ALERT_EMAILS = join(",", sort(local.alert_emails)) }
    token_key = { TOKEN_KEY = module.key.id }
    topics = {
      TASK_TOPIC     = local.topics["task"]
      EMPLOYEE_TOPIC = local.topics["employee"]
    }
    budget = {
      CALENDAR_REQUESTS_PER_MINUTE = tostring(var.calendar_requests_per_minute)
      CALENDARS_PER_HOUR           = tostring(var.calendars_per_hour)
      CALENDARS_PER_DAY            = tostring(var.calendars_per_day)
      SHARES_PER_DAY               = tostring(var.shares_per_day)
    }
    settings = {
      DEFAULT_SETTINGS = jsonencode(merge({ time_zone = var.time_zone }, jsondecode(var.default_settings)))
    }
  }
}

resource "google_cloudfunctions2_function" "this" {
  for_each = local.functions
  name     = each.key
  location = var.region

  build_config {
    runtime           = "go126"
    entry_point       = each.value.entry_point
    service_account   = "projects/${var.project_id}/serviceAccounts/${google_service_account.build.account_id}@${local.account_domain}"
    docker_repository = google_artifact_registry_repository.functions.id
    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source[each.key].name
      }
    }
  }

  service_config {
    service_account_email            = local.function_email[each.key]
    ingress_settings                 = each.value.public ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    available_memory                 = each.value.memory
    available_cpu                    = "1" # a concurrency above 1 needs a whole one
    timeout_seconds                  = each.value.timeout
    min_instance_count               = lookup(local.min_instances, each.key, 0)
    max_instance_count               = each.value.instances
    max_instance_request_concurrency = each.value.concurrency

    # CLOUD_RUN_TIMEOUT_SECONDS is the deadline that a handler sees (shared/serve).
    environment_variables = merge(
      { CLOUD_RUN_TIMEOUT_SECONDS = tostring(each.value.timeout) },
      [for group in each.value.environment : local.environment[group]]...
    )

    # By number, not "latest": a raised version is a new revision, and going back to an
    # old revision goes back to its secrets.
    dynamic "secret_environment_variables" {
      for_each = toset(each.value.secrets)
      content {
        key        = secret_environment_variables.value
        project_id = var.project_id
        secret     = google_secret_manager_secret.this[secret_environment_variables.value].secret_id
        version    = google_secret_manager_secret_version.this[secret_environment_variables.value].version
      }
    }

    direct_vpc_egress = each.value.calls_erp && var.fixed_egress_address ? "VPC_EGRESS_ALL_TRAFFIC" : null
    dynamic "direct_vpc_network_interface" {
      for_each = each.value.calls_erp && var.fixed_egress_address ? [1] : []
      content {
        network    = google_compute_network.egress[0].id
        subnetwork = google_compute_subnetwork.egress[0].id
      }
    }
  }

  # A revision starts only once it may read its secrets.
  depends_on = [
    time_sleep.services,
    time_sleep.grants,
    google_service_account.function,
    google_compute_router_nat.egress,
  ]
}

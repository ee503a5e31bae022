# What is deployed: figures, environment, archives.
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

variables {
  project_id          = "acme-calendars"
  region              = "europe-west1"
  erp_url             = "https://erp.example.com/"
  time_zone           = "Europe/Kyiv"
  admin_emails        = ["ann@example.com", "bob@example.com"]
  integration_account = "calendars@example.com"
  oauth_client_id     = "123456789012-abc123.apps.googleusercontent.com"
}

run "figures" {
  command = plan

  assert {
    condition = { for k, f in google_cloudfunctions2_function.this : k => f.build_config[0].entry_point } == {
      notify    = "Notify", oauth = "OAuth", console = "Console", sync-task = "SyncTask", sync-employee = "SyncEmployee",
      reconcile = "Reconcile", poll = "Poll", dead-letter = "DeadLetter",
    }
    error_message = "Entry points are the registered names (functions/README.md)."
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : f.build_config[0].runtime == "go126"])
    error_message = "go.mod says go 1.26."
  }
  assert {
    condition = alltrue([
      google_cloudfunctions2_function.this["sync-task"].service_config[0].max_instance_count == 10,
      google_cloudfunctions2_function.this["sync-task"].service_config[0].max_instance_request_concurrency == 8,
      google_cloudfunctions2_function.this["sync-employee"].service_config[0].max_instance_count == 2,
      google_cloudfunctions2_function.this["sync-employee"].service_config[0].max_instance_request_concurrency == 4,
      google_cloudfunctions2_function.this["poll"].service_config[0].max_instance_count == 1,
    ])
    error_message = "Instances and concurrency are those of rule 7.3."
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : f.service_config[0].available_cpu == "1"])
    error_message = "A concurrency above 1 needs a whole CPU."
  }
  assert {
    condition     = google_cloudfunctions2_function.this["sync-employee"].service_config[0].timeout_seconds > 240
    error_message = "SyncEmployee works 240 s on a message and must be let finish."
  }
}

run "environment" {
  command = plan

  # What FromEnvironment of each function reads, by the groups of shared/config, less
  # what is left at its default (waits, where Google is).
  assert {
    condition = { for k, f in google_cloudfunctions2_function.this : k => join(" ", sort(keys(f.service_config[0].environment_variables))) } == {
      notify        = "CLOUD_RUN_TIMEOUT_SECONDS DEFAULT_SETTINGS EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT TASK_TOPIC"
      oauth         = "ADMIN_EMAILS CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT INTEGRATION_ACCOUNT OAUTH_CLIENT_ID OAUTH_URL TASK_TOPIC TOKEN_KEY"
      console       = "ADMIN_EMAILS ALERT_EMAILS ALLOW_HTTP_ERP CALENDARS_PER_DAY CALENDARS_PER_HOUR CALENDAR_REQUESTS_PER_MINUTE CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT INTEGRATION_ACCOUNT OAUTH_URL SHARES_PER_DAY TASK_TOPIC"
      sync-task     = "ALLOW_HTTP_ERP CALENDARS_PER_DAY CALENDARS_PER_HOUR CALENDAR_REQUESTS_PER_MINUTE CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT OAUTH_CLIENT_ID SHARES_PER_DAY TASK_TOPIC TOKEN_KEY"
      sync-employee = "ALLOW_HTTP_ERP CALENDARS_PER_DAY CALENDARS_PER_HOUR CALENDAR_REQUESTS_PER_MINUTE CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT OAUTH_CLIENT_ID SHARES_PER_DAY TASK_TOPIC TOKEN_KEY"
      reconcile     = "CLOUD_RUN_TIMEOUT_SECONDS EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT TASK_TOPIC"
      poll          = "ALLOW_HTTP_ERP CLOUD_RUN_TIMEOUT_SECONDS DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT TASK_TOPIC"
      dead-letter   = "CLOUD_RUN_TIMEOUT_SECONDS EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT TASK_TOPIC"
    }
    error_message = "A function's environment is not exactly what it reads."
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : length(setintersection(keys(f.service_config[0].environment_variables), ["ERP_API_KEY", "OAUTH_CLIENT_SECRET", "SESSION_KEY", "NOTIFY_SECRETS"])) == 0])
    error_message = "A secret is in a plain environment variable."
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : f.service_config[0].environment_variables["CLOUD_RUN_TIMEOUT_SECONDS"] == tostring(f.service_config[0].timeout_seconds)])
    error_message = "The deadline that a handler sees is not the platform's."
  }
  assert {
    condition = alltrue([for k, f in google_cloudfunctions2_function.this :
    toset([for s in f.service_config[0].secret_environment_variables : "${k}/${s.key}"]) == toset([for g in keys(google_secret_manager_secret_iam_member.accessor) : g if split("/", g)[0] == k])])
    error_message = "A function is given a secret that it may not read, or may read one it is not given."
  }
  assert {
    condition     = google_cloudfunctions2_function.this["oauth"].service_config[0].environment_variables["CONSOLE_URL"] == "https://console-123456789012.europe-west1.run.app" && output.redirect_uri == "https://oauth-123456789012.europe-west1.run.app/callback" && output.notification_url == "https://notify-123456789012.europe-west1.run.app"
    error_message = "Public addresses are not those of Google's rule."
  }
  assert {
    condition     = length(distinct([for url in [output.console_url, trimsuffix(output.redirect_uri, "/callback"), output.notification_url] : regex("^https://[^/]+$", url)])) == 3
    error_message = "Two public functions share an origin: a hole in one reads the other."
  }
  assert {
    condition     = google_cloudfunctions2_function.this["poll"].service_config[0].environment_variables["ERP_URL"] == "https://erp.example.com" && google_cloudfunctions2_function.this["console"].service_config[0].environment_variables["ADMIN_EMAILS"] == "ann@example.com,bob@example.com"
    error_message = "A value did not arrive as the code wants it."
  }
}

run "default_settings" {
  command = plan
  variables {
    default_settings = "{\"shown_roles\":[1,2],\"time_zone\":\"Europe/Warsaw\"}"
  }
  assert {
    condition     = jsondecode(google_cloudfunctions2_function.this["console"].service_config[0].environment_variables["DEFAULT_SETTINGS"]) == { shown_roles = [1, 2], time_zone = "Europe/Warsaw" }
    error_message = "default_settings did not arrive, or lost against time_zone."
  }
}

run "no_egress_by_default" {
  command = plan
  assert {
    condition     = length(google_compute_address.egress) == 0 && alltrue([for f in google_cloudfunctions2_function.this : length(f.service_config[0].direct_vpc_network_interface) == 0]) && output.egress_address == null
    error_message = "A fixed address is made without being asked for."
  }
}

run "fixed_egress" {
  command = plan
  variables {
    fixed_egress_address = true
  }
  assert {
    condition     = toset([for k, f in google_cloudfunctions2_function.this : k if length(f.service_config[0].direct_vpc_network_interface) == 1]) == toset(["console", "sync-task", "sync-employee", "poll"]) && alltrue([for k in ["console", "sync-task", "sync-employee", "poll"] : google_cloudfunctions2_function.this[k].service_config[0].direct_vpc_egress == "VPC_EGRESS_ALL_TRAFFIC"])
    error_message = "Those that call the ERP, and no others, go out by the fixed address."
  }
  assert {
    condition     = google_cloudfunctions2_function.this["console"].service_config[0].min_instance_count == 1 && google_cloudfunctions2_function.this["poll"].service_config[0].min_instance_count == 0
    error_message = "An admin would wait a minute for the first connection of a new instance of Console."
  }
  assert {
    condition     = google_compute_router_nat.egress[0].nat_ip_allocate_option == "MANUAL_ONLY" && google_project_service.this["compute.googleapis.com"].service != ""
    error_message = "The NAT does not use the fixed address."
  }
}

run "no_instance_is_kept_by_default" {
  command = plan
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : f.service_config[0].min_instance_count == 0])
    error_message = "An instance is kept warm, and paid for, without being asked for."
  }
}

# The functions have left the network, which stays until Cloud Run has let go of it.
run "fixed_egress_first_step_of_removal" {
  command = plan
  variables {
    keep_egress_network = true
  }
  assert {
    condition     = alltrue([for f in google_cloudfunctions2_function.this : length(f.service_config[0].direct_vpc_network_interface) == 0 && f.service_config[0].min_instance_count == 0])
    error_message = "A function is in the network that is to be deleted."
  }
  assert {
    condition     = length(google_compute_subnetwork.egress) == 1 && length(google_compute_network.egress) == 1 && google_project_service.this["compute.googleapis.com"].service != ""
    error_message = "The network would be deleted while Cloud Run has addresses in it, which fails."
  }
}

run "own_domains" {
  command = plan
  variables {
    console_url = "https://calendars.example.com"
    oauth_url   = "https://calendars-sign-in.example.com"
  }
  assert {
    condition     = alltrue([for k in ["oauth", "console"] : google_cloudfunctions2_function.this[k].service_config[0].environment_variables["CONSOLE_URL"] == "https://calendars.example.com" && google_cloudfunctions2_function.this[k].service_config[0].environment_variables["OAUTH_URL"] == "https://calendars-sign-in.example.com"])
    error_message = "A domain of the admin's own does not reach the functions."
  }
  assert {
    condition     = output.console_url == "https://calendars.example.com" && output.redirect_uri == "https://calendars-sign-in.example.com/callback"
    error_message = "The addresses that an admin is given are not those that the functions have."
  }
}

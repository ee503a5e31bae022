# What is deployed: figures, environment, archives.
mock_provider "google" {
  override_during = plan
}
mock_provider "archive" {
  override_during = plan
}
mock_provider "random" {
  override_during = plan
}
mock_provider "time" {
  override_during = plan
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
    error_message = "Entry points are the registered names (design.md §2)."
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
    error_message = "Instances and concurrency are those of protocol.md §7.3."
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
      notify        = "CLOUD_RUN_TIMEOUT_SECONDS EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT TASK_TOPIC"
      oauth         = "ADMIN_EMAILS CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL EMPLOYEE_TOPIC FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT INTEGRATION_ACCOUNT OAUTH_CLIENT_ID OAUTH_URL TASK_TOPIC TOKEN_KEY"
      console       = "ADMIN_EMAILS ALLOW_HTTP_ERP CLOUD_RUN_TIMEOUT_SECONDS CONSOLE_URL DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT INTEGRATION_ACCOUNT OAUTH_URL TASK_TOPIC"
      sync-task     = "ALLOW_HTTP_ERP CALENDARS_PER_HOUR CALENDAR_REQUESTS_PER_MINUTE CLOUD_RUN_TIMEOUT_SECONDS DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT OAUTH_CLIENT_ID TASK_TOPIC TOKEN_KEY"
      sync-employee = "ALLOW_HTTP_ERP CALENDARS_PER_HOUR CALENDAR_REQUESTS_PER_MINUTE CLOUD_RUN_TIMEOUT_SECONDS DEFAULT_SETTINGS EMPLOYEE_TOPIC ERP_KEY_IN_QUERY ERP_URL FIRESTORE_DATABASE GOOGLE_CLOUD_PROJECT OAUTH_CLIENT_ID TASK_TOPIC TOKEN_KEY"
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
    condition     = google_cloudfunctions2_function.this["oauth"].service_config[0].environment_variables["CONSOLE_URL"] == "https://europe-west1-acme-calendars.cloudfunctions.net/console" && output.redirect_uri == "https://europe-west1-acme-calendars.cloudfunctions.net/oauth/callback"
    error_message = "Public addresses are not those of Google's rule."
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

run "archives" {
  command = plan

  assert {
    condition     = alltrue([for f in ["go.mod", "go.sum", "functions/notify/function.go", "functions/console/templates/home.html", "shared/config/config.go", "shared/store/firestore/firestore.go"] : contains(local.source_files, f)])
    error_message = "An archive lacks a file that a build needs."
  }
  assert {
    condition     = length([for f in local.source_files : f if can(regex("_test\\.go$|^shared/(fake|testenv|store/storetest)/|/testdata/|^(scripts|terraform|\\.)", f))]) == 0
    error_message = "An archive holds tests or stand-ins."
  }
  assert {
    condition     = strcontains(local.root_file["sync-task"], "_ \"github.com/erp-calendar/erp-calendar/functions/synctask\"") && strcontains(local.root_file["sync-task"], "\npackage app\n") && length(regexall("erp-calendar/functions/", local.root_file["sync-task"])) == 1
    error_message = "The root file does not import its one function."
  }
  assert {
    condition     = length(distinct(values(output.archives))) == 8 && alltrue([for k, o in google_storage_bucket_object.source : o.name == "${k}-${substr(local.source_hash[k], 0, 32)}.zip"])
    error_message = "The object's name does not carry the source's hash."
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
    condition     = toset([for k, f in google_cloudfunctions2_function.this : k if length(f.service_config[0].direct_vpc_network_interface) == 1 && f.service_config[0].direct_vpc_egress == "VPC_EGRESS_ALL_TRAFFIC"]) == toset(["console", "sync-task", "sync-employee", "poll"])
    error_message = "Those that call the ERP, and no others, go out by the fixed address."
  }
  assert {
    condition     = google_compute_router_nat.egress[0].nat_ip_allocate_option == "MANUAL_ONLY" && google_project_service.this["compute.googleapis.com"].service != ""
    error_message = "The NAT does not use the fixed address."
  }
}

# The archives: what is in them and how they are named.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "archive" {}
mock_provider "random" {}
mock_provider "time" {}

variables {
  project_id          = "acme-calendars"
  region              = "europe-west1"
  erp_url             = "https://erp.example.com/"
  time_zone           = "Europe/Kyiv"
  admin_emails        = ["ann@example.com", "bob@example.com"]
  integration_account = "calendars@example.com"
  oauth_client_id     = "123456789012-abc123.apps.googleusercontent.com"
}

# The module alone: a plan that packs all sources eight times takes half a minute, and what is
# packed of them is scripts/packagetest's to see.
run "archives" {
  command = plan
  module {
    source = "./source"
  }
  variables {
    functions = ["notify", "oauth", "console", "sync-task", "sync-employee", "reconcile", "poll", "dead-letter"]
  }

  assert {
    condition     = alltrue([for f in ["go.mod", "go.sum", "functions/notify/function.go", "functions/console/templates/overview.html", "shared/i18n/texts/common.uk.toml", "shared/config/config.go", "shared/store/firestore/firestore.go"] : contains(output.files, f)])
    error_message = "An archive lacks a file that a build needs."
  }
  assert {
    condition     = length([for f in output.files : f if can(regex("_test\\.go$|\\.md$|^shared/(fake|testenv|store/storetest)/|/testdata/|^(scripts|terraform|\\.)", f))]) == 0
    error_message = "An archive holds tests, stand-ins or Markdown."
  }
  assert {
    condition     = strcontains(output.root["sync-task"], "_ \"github.com/erp-calendar/erp-calendar/functions/synctask\"") && strcontains(output.root["sync-task"], "\npackage app\n") && length(regexall("erp-calendar/functions/", output.root["sync-task"])) == 1
    error_message = "The root file does not import its one function."
  }
  assert {
    condition     = length(distinct(values(output.hash))) == 8
    error_message = "Two archives have one hash: a change of one function's root would not be deployed."
  }
}

run "objects" {
  command = plan
  override_module {
    target = module.source
    outputs = {
      files = ["go.mod"]
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

  assert {
    condition     = length(distinct(values(output.archives))) == 8 && alltrue([for k, o in google_storage_bucket_object.source : o.name == "${k}-${substr(module.source.hash[k], 0, 32)}.zip"])
    error_message = "The object's name does not carry the source's hash."
  }
  assert {
    condition     = alltrue([for k, a in data.archive_file.source : toset([for s in a.source : s.filename]) == toset(["function.go", "go.mod"])])
    error_message = "An archive holds something else than the root file and the module's sources."
  }
}

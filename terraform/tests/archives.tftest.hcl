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

run "archives" {
  command = plan

  assert {
    condition     = alltrue([for f in ["go.mod", "go.sum", "functions/notify/function.go", "functions/console/templates/overview.html", "shared/i18n/texts/common.uk.toml", "shared/config/config.go", "shared/store/firestore/firestore.go"] : contains(module.source.files, f)])
    error_message = "An archive lacks a file that a build needs."
  }
  assert {
    condition     = length([for f in module.source.files : f if can(regex("_test\\.go$|\\.md$|^shared/(fake|testenv|store/storetest)/|/testdata/|^(scripts|terraform|\\.)", f))]) == 0
    error_message = "An archive holds tests, stand-ins or Markdown."
  }
  assert {
    condition     = strcontains(module.source.root["sync-task"], "_ \"github.com/erp-calendar/erp-calendar/functions/synctask\"") && strcontains(module.source.root["sync-task"], "\npackage app\n") && length(regexall("erp-calendar/functions/", module.source.root["sync-task"])) == 1
    error_message = "The root file does not import its one function."
  }
  assert {
    condition     = length(distinct(values(output.archives))) == 8 && alltrue([for k, o in google_storage_bucket_object.source : o.name == "${k}-${substr(module.source.hash[k], 0, 32)}.zip"])
    error_message = "The object's name does not carry the source's hash."
  }
}


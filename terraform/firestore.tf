# The state: a database of its own, so that access can be narrowed to it and the
# project's (default) stays free. Collections and fields: shared/store.
resource "google_firestore_database" "this" {
  name                              = var.firestore_database
  location_id                       = var.region
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "PESSIMISTIC"
  app_engine_integration_mode       = "DISABLED"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"

  # While the protection is on, Google refuses a `destroy`; off, it must not be left behind.
  deletion_policy = "DELETE"
  depends_on      = [time_sleep.services]
}

# Point-in-time recovery reaches back 7 days, backups 14.
resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.this.name
  retention = "1209600s"
  daily_recurrence {}
}

locals {
  # Firestore deletes a document within about a day of this time; the code judges
  # expiry itself.
  ttl = {
    sign_ins  = "expires_at"
    tickets   = "expires_at"
    sessions  = "expires_at"
    activity  = "expires_at"
    runs      = "expires_at"
    run_parts = "expires_at"
    days      = "expires_at"
  }

  # Never queried, large or growing, or ciphertext: without the exemption each would be
  # indexed, maps once per key (a document may have 40,000 index entries).
  unindexed = {
    "accounts.sealed"     = { collection = "accounts", field = "sealed" }
    "days.hours"          = { collection = "days", field = "hours" }
    "polls.shown"         = { collection = "polls", field = "shown" }
    "polls.missing"       = { collection = "polls", field = "missing" }
    "polls.flood"         = { collection = "polls", field = "flood" }
    "polls.changed"       = { collection = "polls", field = "changed" }
    "polls.faults"        = { collection = "polls", field = "faults" }
    "polls.hashes"        = { collection = "polls", field = "hashes" }
    "run_parts.employees" = { collection = "run_parts", field = "employees" }
    "settings.json"       = { collection = "settings", field = "json" }
    "settings.acted"      = { collection = "settings", field = "acted" }
    "settings.plan"       = { collection = "settings", field = "plan" }
    "history.json"        = { collection = "settings_history", field = "json" }
    "history.acted"       = { collection = "settings_history", field = "acted" }
    "history.plan"        = { collection = "settings_history", field = "plan" }
    "tasks.announced"     = { collection = "tasks", field = "announced" }
    "tasks.mappings"      = { collection = "tasks", field = "mappings" }
  }
}

resource "google_firestore_field" "ttl" {
  for_each   = local.ttl
  database   = google_firestore_database.this.name
  collection = each.key
  field      = each.value
  ttl_config {}
}

# There are no composite indexes: every query names one field (shared/store, Indexed),
# and Firestore indexes single fields by itself.
resource "google_firestore_field" "unindexed" {
  for_each   = local.unindexed
  database   = google_firestore_database.this.name
  collection = each.value.collection
  field      = each.value.field
  index_config {}
}

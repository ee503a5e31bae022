# What an admin needs next, in the order of need.
output "redirect_uri" {
  description = "Register this at the OAuth client, character by character."
  value       = "${local.public_url["oauth"]}/callback"
}

output "console_url" {
  description = "Open this, sign in, set the settings and press Connect."
  value       = local.public_url["console"]
}

output "notification_url" {
  description = "Give this to the ERP's connector, together with the webhook secret."
  value       = local.public_url["notify"]
}

output "egress_address" {
  description = "Allow this address at the ERP; null without fixed_egress_address."
  value       = one(google_compute_address.egress[*].address)
}

output "dashboard_url" {
  description = "The dashboards of the project; this one is called erp-calendar."
  value       = "https://console.cloud.google.com/monitoring/dashboards?project=${var.project_id}"
}

output "archives" {
  description = "The uploaded source of each function: the same source has the same name."
  value       = { for name, o in google_storage_bucket_object.source : name => o.name }
}
